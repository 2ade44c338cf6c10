"""Clients of a running application, each with a key of some role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from muniment.db import Database, Role, TenantScope
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.keys.schemas import NewApiKey
from tests.app.conftest import application, client_of


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
