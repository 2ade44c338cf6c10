"""F35: rotating a key is one step, with an overlap where one is asked for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from muniment.db import Database, Role, TenantScope
from muniment.tenancy.keys.change import revoke_api_key, rotate_api_key
from muniment.tenancy.keys.errors import ApiKeyEnded, ApiKeyReplaced
from muniment.tenancy.keys.schemas import NewApiKey
from tests.tenancy.keys.conftest import (
    AT_ONCE,
    HOUR,
    found,
    listed,
    log,
    make_key,
    rotated,
    without_secret,
)


async def test_f35_rotation_is_one_transaction(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        workspace_id = await work.connection.fetchval("SELECT workspace_id FROM workspaces")
    old = await make_key(
        database,
        scope,
        Role.EDITOR,
        workspace_id=workspace_id,
        expires_at=datetime.now(UTC) + HOUR,
        requests_per_minute=7,
    )
    with pytest.raises(RuntimeError):
        async with database.unit_of_work(scope) as work:
            await rotate_api_key(work, old.id, AT_ONCE)
            raise RuntimeError
    assert await listed(database, scope) == [without_secret(old)]

    new = await rotated(database, replace(scope, actor="user:2"), old.id)
    assert new.key != old.key
    for name in ("name", "role", "workspace_id", "expires_at", "requests_per_minute"):
        assert getattr(new, name) == getattr(old, name)
    assert new.created_by == "user:2"
    ended = await found(database, scope, old.id)
    assert ended.replaced_by == new.id
    assert ended.revoked_at is not None
    assert ended.expires_at == old.expires_at
    entry = (await log(database, scope))[-1]
    assert (entry["action"], entry["target_id"]) == ("api_key.rotated", str(old.id))
    assert entry["before"] == {"prefix": old.prefix}
    assert entry["after"]["api_key_id"] == str(new.id)
    assert entry["after"]["overlap_seconds"] == 0
    assert new.key not in repr(list(entry.values()))


@pytest.mark.parametrize("left", [None, timedelta(minutes=30), timedelta(days=30)])
async def test_f35_an_overlap_never_lengthens_the_old_key(
    database: Database, scope: TenantScope, left: timedelta | None
) -> None:
    began = datetime.now(UTC)
    expires_at = None if left is None else began + left
    old = await make_key(database, scope, expires_at=expires_at)
    new = await rotated(database, scope, old.id, HOUR)
    ended = await found(database, scope, old.id)
    assert new.expires_at == expires_at
    assert ended.revoked_at is None
    assert ended.expires_at is not None
    if left is not None and left < HOUR:
        assert ended.expires_at == expires_at
    else:
        assert began + HOUR - timedelta(seconds=1) <= ended.expires_at
        assert ended.expires_at <= datetime.now(UTC) + HOUR + timedelta(seconds=1)
    assert (await log(database, scope))[-1]["after"]["overlap_seconds"] == 3600


async def test_f35_of_many_rotations_at_once_one_wins(
    database: Database, scope: TenantScope
) -> None:
    old = await make_key(database, scope)
    outcomes = await asyncio.gather(
        *(rotated(database, scope, old.id, HOUR) for _ in range(5)), return_exceptions=True
    )
    (new,) = [one for one in outcomes if isinstance(one, NewApiKey)]
    refused = [one for one in outcomes if isinstance(one, ApiKeyReplaced)]
    assert len(refused) == 4
    assert str(new.id) in refused[0].detail
    assert {key.id for key in await listed(database, scope)} == {old.id, new.id}


async def test_f35_of_rotation_and_revocation_at_once_no_key_is_lost_track_of(
    database: Database, scope: TenantScope
) -> None:
    async def revoked(api_key_id: UUID) -> None:
        async with database.unit_of_work(scope) as work:
            await revoke_api_key(work, api_key_id)

    for _ in range(10):
        old = await make_key(database, scope)
        new, _ = await asyncio.gather(
            rotated(database, scope, old.id), revoked(old.id), return_exceptions=True
        )
        ended = await found(database, scope, old.id)
        assert ended.revoked_at is not None
        if isinstance(new, NewApiKey):
            assert ended.replaced_by == new.id
        else:
            assert isinstance(new, ApiKeyEnded)
            assert ended.replaced_by is None


async def test_f35_a_key_that_has_ended_is_not_rotated(
    database: Database, scope: TenantScope
) -> None:
    revoked, expired = await make_key(database, scope), await make_key(database, scope)
    async with database.unit_of_work(scope) as work:
        await revoke_api_key(work, revoked.id)
        await work.connection.execute(
            "UPDATE api_keys SET expires_at = now() WHERE api_key_id = $1", expired.id
        )
    for ended in (revoked, expired):
        with pytest.raises(ApiKeyEnded):
            await rotated(database, scope, ended.id)
    assert len(await listed(database, scope)) == 2
