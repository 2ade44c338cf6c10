"""A request is one transaction: committed before it is answered, or rolled back."""

from __future__ import annotations

import gc

import httpx

from muniment.db import Database, TenantScope
from tests.app.conftest import organization_name


async def test_commits_when_the_handler_returns(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    response = await client.post("/v1/test/rename", json={"name": "Renamed"})
    assert response.status_code == 200
    assert await organization_name(database, scope) == "Renamed"


async def test_rolls_back_when_the_handler_raises(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    response = await client.post("/v1/test/rename-and-fail", json={"name": "Renamed"})
    assert response.status_code == 404
    assert await organization_name(database, scope) == "Ours"


async def test_failed_commit_is_no_success(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/test/fail-at-commit")
    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"


async def test_connections_come_back_whatever_happens(
    client: httpx.AsyncClient, database: Database
) -> None:
    gc.disable()  # which would bring forgotten connections back, some day
    try:
        for path in ("crash", "things", "refused-dependency", "unstorable", "things?limit=x"):
            await client.get(f"/v1/test/{path}")
            assert database.pool.get_idle_size() == database.pool.get_size(), path
        for path in ("rename", "rename-and-fail", "fail-at-commit", "lose-connection"):
            await client.post(f"/v1/test/{path}", json={"name": "Renamed"})
            assert database.pool.get_idle_size() == database.pool.get_size(), path
    finally:
        gc.enable()
