"""Keys open the organization they belong to, and nothing else does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from muniment.db import Database, Role, TenantScope
from muniment.tenancy.api_keys import create_api_key
from muniment.tenancy.authentication import authenticate, local_scope, require_role
from muniment.tenancy.errors import (
    InvalidCredentials,
    MissingCredentials,
    NotAllowed,
    OrganizationNotFound,
)
from muniment.tenancy.first_start import ensure_first_organization


async def test_key_opens_its_organization(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        key = await create_api_key(work, "test", Role.EDITOR)
    found = await authenticate(database, f"Bearer {key}")
    assert (found.org_id, found.role) == (scope.org_id, Role.EDITOR)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic mun_x"])
async def test_no_key(database: Database, header: str | None) -> None:
    with pytest.raises(MissingCredentials):
        await authenticate(database, header)


@pytest.mark.parametrize("key", ["mun_unknown", "x", "mun_\ud800", "\0"])
async def test_wrong_key(database: Database, key: str) -> None:
    with pytest.raises(InvalidCredentials):
        await authenticate(database, f"Bearer {key}")


async def test_expired_key(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        past = datetime.now(UTC) - timedelta(seconds=1)
        key = await create_api_key(work, "old", Role.VIEWER, expires_at=past)
    with pytest.raises(InvalidCredentials):
        await authenticate(database, f"Bearer {key}")


async def test_only_the_hash_is_stored(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        key = await create_api_key(work, "test", Role.VIEWER)
        row = await work.connection.fetchrow("SELECT * FROM api_keys")
    assert row is not None
    assert key not in {str(value) for value in row.values()}
    assert key.startswith(row["prefix"])


async def test_role_must_cover(database: Database, scope: TenantScope) -> None:
    require_role(scope, Role.OWNER)
    async with database.unit_of_work(scope) as work:
        key = await create_api_key(work, "viewer", Role.VIEWER)
    viewer = await authenticate(database, f"bearer {key}")
    with pytest.raises(NotAllowed, match="editor"):
        require_role(viewer, Role.EDITOR)


async def test_first_start_makes_one_organization(database: Database) -> None:
    with pytest.raises(OrganizationNotFound):
        await local_scope(database)
    keys = await asyncio.gather(*(ensure_first_organization(database) for _ in range(4)))
    made = [key for key in keys if key is not None]
    assert len(made) == 1
    scope = await local_scope(database)
    assert (await authenticate(database, f"Bearer {made[0]}")).org_id == scope.org_id


async def test_organization_must_be_named_when_there_are_several(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    with pytest.raises(OrganizationNotFound, match="--organization"):
        await local_scope(database)
    assert (await local_scope(database, "Theirs")).org_id == other_scope.org_id
    assert (await local_scope(database, str(scope.org_id))).org_id == scope.org_id


async def test_organization_of_an_evaluation_does_not_count(
    database: Database, scope: TenantScope
) -> None:
    async with database.operator() as work:
        await work.connection.execute(
            "INSERT INTO organizations (org_id, name)"
            " SELECT id, 'Evaluation ' || id FROM (SELECT gen_random_uuid() AS id) AS new"
        )
    assert (await local_scope(database)).org_id == scope.org_id
