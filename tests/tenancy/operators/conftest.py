"""A running application, an operator's key, and an organization to operate on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from muniment.app import Application
from muniment.db import Database, Role, TenantScope
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.operators.keys import create_operator_key
from tests.app.conftest import application, client_of

SECRET = b"test secret"


@pytest.fixture
async def operator_key(database: Database) -> str:
    async with database.operator() as work:
        return await create_operator_key(work, "test")


@pytest.fixture
def app(database: Database) -> Application:
    return application(database)


@pytest.fixture
async def operator(app: Application, operator_key: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the operator's key."""
    async with client_of(app) as client:
        client.headers["authorization"] = f"Bearer {operator_key}"
        yield client


@dataclass
class Member:
    """Somebody of the organization, with a key."""

    client: httpx.AsyncClient
    key: str

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path, headers={"Authorization": f"Bearer {self.key}"})


@pytest.fixture
async def member(operator: httpx.AsyncClient, database: Database, scope: TenantScope) -> Member:
    async with database.unit_of_work(scope) as work:
        made = await create_api_key(work, "test", Role.OWNER)
    return Member(operator, made.key)


async def entries(database: Database, scope: TenantScope) -> list[tuple[Any, ...]]:
    """Return the audit log of an organization, oldest first."""
    async with database.unit_of_work(scope) as work:
        rows = await work.connection.fetch(
            "SELECT action, actor, before, after FROM audit_log ORDER BY entry_id"
        )
    return [tuple(row) for row in rows]
