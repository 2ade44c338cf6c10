"""Clients of a running application, each with a key of some role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from muniment.db import Database, Role, TenantScope
from muniment.tenancy.keys.change import rotate_api_key
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.keys.listing import find_api_key, list_api_keys
from muniment.tenancy.keys.schemas import ApiKey, NewApiKey
from tests.app.conftest import application, client_of

SECRET = b"a secret of the tests"
AT_ONCE = timedelta(0)
HOUR = timedelta(hours=1)


@pytest.fixture
async def client(database: Database, scope: TenantScope) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an owner's key."""
    owner = await make_key(database, scope, Role.OWNER)
    async with client_of(application(database)) as client:
        client.headers["authorization"] = f"Bearer {owner.key}"
        yield client


async def make_key(
    database: Database, scope: TenantScope, role: Role = Role.VIEWER, **rights: Any
) -> NewApiKey:
    async with database.unit_of_work(scope) as work:
        return await create_api_key(work, f"a key of a {role}", role, **rights)


def bearer(key: str | NewApiKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key if isinstance(key, str) else key.key}"}


async def listed(
    database: Database, scope: TenantScope, limit: int = 100, created_by: str | None = None
) -> list[ApiKey]:
    """All pages of the keys."""
    found: list[ApiKey] = []
    cursor = None
    while True:
        async with database.unit_of_work(scope, read_only=True) as work:
            page = await list_api_keys(
                work, created_by=created_by, limit=limit, cursor=cursor, secret=SECRET
            )
        assert len(page.items) <= limit
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


async def found(database: Database, scope: TenantScope, api_key_id: UUID) -> ApiKey:
    async with database.unit_of_work(scope, read_only=True) as work:
        return await find_api_key(work, api_key_id)


async def rotated(
    database: Database, scope: TenantScope, api_key_id: UUID, overlap: timedelta = AT_ONCE
) -> NewApiKey:
    async with database.unit_of_work(scope) as work:
        return await rotate_api_key(work, api_key_id, overlap)


async def log(database: Database, scope: TenantScope) -> list[asyncpg.Record]:
    async with database.unit_of_work(scope) as work:
        return await work.connection.fetch("SELECT * FROM audit_log ORDER BY entry_id")


def without_secret(made: NewApiKey) -> ApiKey:
    return ApiKey(*(getattr(made, name) for name in ApiKey.__struct_fields__))
