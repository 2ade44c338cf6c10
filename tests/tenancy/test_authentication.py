"""Keys and sessions open the organization they belong to, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from muniment.cache import open_cache
from muniment.db import Database, Role, TenantScope
from muniment.tenancy.authentication import Authenticator, local_scope
from muniment.tenancy.errors import (
    InvalidCredentials,
    MissingCredentials,
    NotAllowed,
    OrganizationNotFound,
    OrganizationSuspended,
)
from muniment.tenancy.first_start import ensure_first_organization
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.people.touches import Touches
from muniment.tenancy.permissions import Action, allowed_actions, require


@pytest.fixture
async def authenticator(database: Database) -> AsyncIterator[Authenticator]:
    async with open_cache(database) as cache:
        yield Authenticator(database, cache, Touches(database), timedelta(hours=1))


async def test_key_opens_its_organization(
    database: Database, scope: TenantScope, authenticator: Authenticator
) -> None:
    async with database.unit_of_work(scope) as work:
        key = (await create_api_key(work, "test", Role.EDITOR)).key
    found = await authenticator.by_key(f"Bearer {key}", "192.0.2.1")
    assert (found.tenant.org_id, found.tenant.role) == (scope.org_id, Role.EDITOR)
    assert found.tenant.address == "192.0.2.1"
    assert (found.organization.name, found.organization.tier) == ("Ours", "enterprise")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic mun_x"])
async def test_no_key(authenticator: Authenticator, header: str) -> None:
    with pytest.raises(MissingCredentials):
        await authenticator.by_key(header)


@pytest.mark.parametrize("key", ["mun_unknown", "x", "mun_\ud800", "\0"])
async def test_wrong_key(authenticator: Authenticator, key: str) -> None:
    with pytest.raises(InvalidCredentials):
        await authenticator.by_key(f"Bearer {key}")


async def test_key_expires_while_it_is_cached(
    database: Database, scope: TenantScope, authenticator: Authenticator
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    async with database.unit_of_work(scope) as work:
        key = (await create_api_key(work, "old", Role.VIEWER, expires_at=soon)).key
    await authenticator.by_key(f"Bearer {key}")
    with pytest.raises(InvalidCredentials, match="expired"):
        while datetime.now(UTC) < soon + timedelta(seconds=5):
            await authenticator.by_key(f"Bearer {key}")
            await asyncio.sleep(0)


async def test_suspension_closes_an_organization_at_once(
    database: Database, scope: TenantScope, authenticator: Authenticator
) -> None:
    async with database.unit_of_work(scope) as work:
        key = (await create_api_key(work, "test", Role.OWNER)).key
    await authenticator.by_key(f"Bearer {key}")
    async with database.unit_of_work(scope) as work:
        await work.connection.execute("UPDATE organizations SET suspended_at = now()")
        work.invalidate(f"{scope.org_id.hex}/organization")
    with pytest.raises(OrganizationSuspended):
        await authenticator.by_key(f"Bearer {key}")


async def test_only_the_hash_is_stored(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        key = (await create_api_key(work, "test", Role.VIEWER)).key
        row = await work.connection.fetchrow("SELECT * FROM api_keys")
    assert row is not None
    assert key not in {str(value) for value in row.values()}
    assert key.startswith(row["prefix"])


def test_role_must_cover_the_action(scope: TenantScope) -> None:
    require(scope, Action.ORGANIZATION_CHANGE)
    viewer = TenantScope(scope.org_id, None, "test", Role.VIEWER)
    with pytest.raises(NotAllowed, match="editor"):
        require(viewer, Action.DOCUMENTS_WRITE)
    assert Action.SEARCH in allowed_actions(viewer)
    assert Action.KEYS_MANAGE not in allowed_actions(viewer)


async def test_first_start_makes_one_organization(
    database: Database, authenticator: Authenticator
) -> None:
    with pytest.raises(OrganizationNotFound):
        await local_scope(database)
    keys = await asyncio.gather(*(ensure_first_organization(database) for _ in range(4)))
    made = [key for key in keys if key is not None]
    assert len(made) == 1
    scope = await local_scope(database)
    caller = await authenticator.by_key(f"Bearer {made[0]}")
    assert (caller.tenant.org_id, caller.organization.tier) == (scope.org_id, "enterprise")


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
