"""The API on a database, and callers of two organizations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from muniment.db import Database, Role, TenantScope
from muniment.tenancy.keys.create import create_api_key
from tests.app.conftest import application, client_of


async def key_of(database: Database, scope: TenantScope, role: Role = Role.OWNER) -> dict[str, str]:
    """Headers with a new key."""
    async with database.unit_of_work(scope) as work:
        return {"Authorization": f"Bearer {(await create_api_key(work, 'test', role)).key}"}


@pytest.fixture
async def client(database: Database, scope: TenantScope) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an owner's key."""
    async with client_of(application(database)) as client:
        client.headers.update(await key_of(database, scope))
        yield client
