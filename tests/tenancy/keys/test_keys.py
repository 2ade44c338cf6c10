"""API keys: who may make which, how they are listed, and how they end."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from msgspec import UNSET

from muniment.db import Database, Role, TenantScope, load_statements, new_id, observe_statements
from muniment.errors import MunimentError, ValidationFailed
from muniment.tenancy.errors import NotAllowed, WorkspaceNotFound
from muniment.tenancy.keys.change import change_api_key, revoke_api_key, rotate_api_key
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.keys.errors import ApiKeyNotFound
from muniment.tenancy.keys.listing import find_api_key, list_api_keys
from muniment.tenancy.keys.schemas import ChangeApiKey
from tests.tenancy.keys.conftest import (
    AT_ONCE,
    HOUR,
    SECRET,
    found,
    listed,
    log,
    make_key,
    rotated,
    without_secret,
)
from tests.tenancy.plans import PlanOf

# --- making ---------------------------------------------------------------------------------------


async def test_a_key_is_kept_as_a_hash_and_shown_once(
    database: Database, scope: TenantScope
) -> None:
    maker = replace(scope, actor="user:1")
    async with database.unit_of_work(maker) as work:
        workspace_id = await work.connection.fetchval("SELECT workspace_id FROM workspaces")
    expires_at = datetime.now(UTC) + HOUR
    made = await make_key(
        database,
        maker,
        Role.EDITOR,
        workspace_id=workspace_id,
        expires_at=expires_at,
        requests_per_minute=7,
    )
    assert made.key.startswith(made.prefix)
    assert len(made.key) > len(made.prefix) + 30
    key = await found(database, scope, made.id)
    assert key == without_secret(made)
    assert (key.role, key.workspace_id, key.expires_at) == (Role.EDITOR, workspace_id, expires_at)
    assert (key.requests_per_minute, key.created_by) == (7, "user:1")
    assert key.last_used_at is key.revoked_at is key.replaced_by is None
    async with database.unit_of_work(scope) as work:
        stored = await work.connection.fetchrow("SELECT * FROM api_keys")
        (entry,) = await work.connection.fetch("SELECT * FROM audit_log")
    assert stored is not None
    assert stored["hash"] == hashlib.sha256(made.key.encode()).digest()
    assert made.key not in repr([*stored.values(), *entry.values()])
    assert (entry["actor"], entry["action"]) == ("user:1", "api_key.created")
    assert (entry["target_type"], entry["target_id"]) == ("api_key", str(made.id))
    assert entry["after"] == {
        "name": "a key of a editor",
        "prefix": made.prefix,
        "role": "editor",
        "workspace_id": str(workspace_id),
        "expires_at": expires_at.isoformat().replace("+00:00", "Z"),
        "requests_per_minute": 7,
    }


async def test_nobody_makes_a_key_above_their_own_role(
    database: Database, scope: TenantScope
) -> None:
    for own in Role:
        maker = replace(scope, role=own)
        for wanted in Role:
            if own.covers(wanted):
                assert (await make_key(database, maker, wanted)).role is wanted
                continue
            with pytest.raises(NotAllowed, match=f"{wanted} is above yours"):
                await make_key(database, maker, wanted)
    assert len(await listed(database, scope)) == 4 + 3 + 2 + 1


async def test_a_key_of_another_organization_s_workspace_is_refused(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    async with database.unit_of_work(other_scope) as work:
        theirs = await work.connection.fetchval("SELECT workspace_id FROM workspaces")
    for workspace_id in (theirs, new_id()):
        with pytest.raises(WorkspaceNotFound):
            await make_key(database, scope, workspace_id=workspace_id)
    assert await listed(database, scope) == []


async def test_a_key_that_has_expired_is_not_made(database: Database, scope: TenantScope) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await make_key(database, scope, expires_at=datetime.now(UTC) - HOUR)
    assert refused.value.errors[0]["pointer"] == "#/expires_at"


# --- listing --------------------------------------------------------------------------------------


async def test_pages_are_newest_first_and_complete(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    made = [without_secret(await make_key(database, scope)) for _ in range(5)]
    await make_key(database, other_scope)
    for limit in (1, 2, 5, 100):
        assert await listed(database, scope, limit) == made[::-1]


async def test_keys_stay_when_their_maker_goes_and_are_found_by_it(
    database: Database, scope: TenantScope
) -> None:
    gone = replace(scope, actor="user:gone")
    theirs = [without_secret(await make_key(database, gone)) for _ in range(3)]
    await make_key(database, scope)
    assert await listed(database, scope, limit=2, created_by="user:gone") == theirs[::-1]
    assert await listed(database, scope, created_by="user:nobody") == []


async def test_another_organization_s_key_is_not_there(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    theirs = await make_key(database, other_scope)
    for api_key_id in (theirs.id, new_id()):
        for attempt in (
            find_api_key,
            lambda work, at: change_api_key(work, at, ChangeApiKey(name="x")),
            lambda work, at: rotate_api_key(work, at, AT_ONCE),
            revoke_api_key,
        ):
            with pytest.raises(ApiKeyNotFound):
                async with database.unit_of_work(scope) as work:
                    await attempt(work, api_key_id)
    assert await found(database, other_scope, theirs.id) == without_secret(theirs)


async def test_f01_listing_and_detail_are_one_statement(
    database: Database, scope: TenantScope
) -> None:
    for _ in range(5):
        made = await make_key(database, scope)
    names: list[str] = []
    async with database.unit_of_work(scope) as work:
        with observe_statements(lambda name, _seconds, _error: names.append(name)):
            await list_api_keys(work, created_by=None, limit=50, cursor=None, secret=SECRET)
            await list_api_keys(work, created_by="test", limit=50, cursor=None, secret=SECRET)
            await find_api_key(work, made.id)
    assert names == [
        "tenancy.keys.list_api_keys",
        "tenancy.keys.list_api_keys_by_maker",
        "tenancy.keys.get_api_key",
    ]


FILL = """
INSERT INTO api_keys (org_id, api_key_id, name, prefix, hash, role, created_by)
SELECT
    $1, gen_random_uuid(), 'key ' || n, 'mun_' || n, sha256(($1::uuid || '.' || n)::bytea),
    'viewer', CASE WHEN n % 500 = 0 THEN 'user:3' ELSE 'user:1' END
FROM generate_series(1, $2::int) AS n
"""


async def test_f03_no_listing_reads_more_than_it_shows(
    clone: Any, database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    """100,000 keys of ours, and some of another organization."""
    for one, count in ((other_scope, 20_000), (scope, 100_000)):
        async with database.unit_of_work(one) as work:
            await work.connection.execute(FILL, one.org_id, count)
    owner = await asyncpg.connect(clone.installation.owner_dsn)
    await owner.execute("ANALYZE api_keys")
    await owner.close()
    async with database.unit_of_work(scope) as work:
        page = await list_api_keys(work, created_by=None, limit=1, cursor=None, secret=SECRET)
    statements = load_statements("muniment.tenancy.keys")
    values = {
        "created_by": "user:3",
        "before": UUID(int=2**128 - 1),
        "limit": 51,
        "api_key_id": page.items[0].id,
    }
    for name, index, rows in [
        ("list_api_keys", "api_keys_pkey", 51),
        ("list_api_keys_by_maker", "api_keys_by_maker", 51),
        ("get_api_key", "api_keys_pkey", 1),
    ]:
        for generic in (False, True):
            async with database.unit_of_work(scope) as work:
                plan = PlanOf(work, "api_keys", generic=generic)
                await getattr(statements, name)(plan, **values)
            used = {index for _, index in plan.scans}
            assert used <= {index, "api_keys_by_id"}, (name, plan.nodes)
            assert plan.rows_read <= rows, (name, plan.nodes)


# --- changing -------------------------------------------------------------------------------------


async def test_what_is_left_out_of_a_change_stays(database: Database, scope: TenantScope) -> None:
    made = await make_key(database, scope, requests_per_minute=7)
    for wanted, expected in [
        (ChangeApiKey(), (made.name, 7)),
        (ChangeApiKey(name="new"), ("new", 7)),
        (ChangeApiKey(requests_per_minute=8), ("new", 8)),
        (ChangeApiKey(name=UNSET, requests_per_minute=None), ("new", None)),
        (ChangeApiKey(name="new", requests_per_minute=None), ("new", None)),
    ]:
        async with database.unit_of_work(scope) as work:
            changed = await change_api_key(work, made.id, wanted)
        assert (changed.name, changed.requests_per_minute) == expected
        assert changed == await found(database, scope, made.id)
    told = [(entry["before"], entry["after"]) for entry in (await log(database, scope))[1:]]
    assert told == [
        ({"name": made.name}, {"name": "new"}),
        ({"requests_per_minute": 7}, {"requests_per_minute": 8}),
        ({"requests_per_minute": 8}, {"requests_per_minute": None}),
    ]


async def test_an_admin_gets_no_hold_of_an_owner_s_key_but_may_revoke_it(
    database: Database, scope: TenantScope
) -> None:
    of_owner = await make_key(database, scope, Role.OWNER)
    admin = replace(scope, role=Role.ADMIN)
    with pytest.raises(NotAllowed):
        await rotated(database, admin, of_owner.id)
    with pytest.raises(NotAllowed):
        async with database.unit_of_work(admin) as work:
            await change_api_key(work, of_owner.id, ChangeApiKey(requests_per_minute=1))
    assert await found(database, scope, of_owner.id) == without_secret(of_owner)
    async with database.unit_of_work(admin) as work:
        await revoke_api_key(work, of_owner.id)
    assert (await found(database, scope, of_owner.id)).revoked_at is not None


# --- revoking -------------------------------------------------------------------------------------


async def test_a_key_is_revoked_once(database: Database, scope: TenantScope) -> None:
    made = await make_key(database, scope)
    times: set[datetime | None] = set()
    for _ in range(2):
        async with database.unit_of_work(scope) as work:
            await revoke_api_key(work, made.id)
        times.add((await found(database, scope, made.id)).revoked_at)
    assert len(times) == 1
    assert None not in times
    actions = [entry["action"] for entry in await log(database, scope)]
    assert actions == ["api_key.created", "api_key.revoked"]


async def test_each_change_is_announced_to_the_caches(
    database: Database, scope: TenantScope
) -> None:
    announced: list[frozenset[str]] = []

    async def observe(tags: frozenset[str]) -> None:
        announced.append(tags)

    database.after_commit.append(observe)
    made = await make_key(database, scope)
    of_key = f"{hashlib.sha256(made.key.encode()).hexdigest()}/key"
    of_list = f"{scope.org_id.hex}/keys"
    assert announced.pop() == {of_list}
    async with database.unit_of_work(scope) as work:
        await change_api_key(work, made.id, ChangeApiKey(requests_per_minute=3))
    assert announced.pop() == {of_key, of_list}
    await rotated(database, scope, made.id, HOUR)
    assert announced.pop() == {of_key, of_list}
    async with database.unit_of_work(scope) as work:
        await revoke_api_key(work, made.id)
    assert announced == [{of_key, of_list}]
    with suppress(MunimentError):
        async with database.unit_of_work(replace(scope, role=Role.VIEWER)) as work:
            await create_api_key(work, "x", Role.OWNER)
    assert len(announced) == 1
