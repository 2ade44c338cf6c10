"""API keys over HTTP: what clients see, and that an ended key is refused by every process."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from muniment.db import Database, Role, TenantScope, WorkspaceId, new_id
from muniment.observability.logging import configure_logging
from tests.app.conftest import application, client_of
from tests.tenancy.keys.conftest import bearer, make_key

KEYS = "/v1/api-keys"


async def create(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post(KEYS, json={"name": "CI", "role": "viewer"} | fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def status(client: httpx.AsyncClient, key: str) -> int:
    return (await client.get("/v1/me", headers=bearer(key))).status_code


async def until_refused(client: httpx.AsyncClient, key: str) -> None:
    async with asyncio.timeout(2):
        while await status(client, key) != 401:
            pass


async def test_a_key_is_shown_when_it_is_made_and_never_again(client: httpx.AsyncClient) -> None:
    answer = await client.post(KEYS, json={"name": "CI", "role": "editor"})
    made = answer.json()
    assert answer.headers["location"] == f"{KEYS}/{made['id']}"
    assert answer.headers["cache-control"] == "no-store"
    secret = made.pop("key")
    assert made["prefix"] == secret[:12]
    assert (await client.get("/v1/me", headers=bearer(secret))).json()["role"] == "editor"
    shown = await client.get(f"{KEYS}/{made['id']}")
    page = await client.get(KEYS, params={"limit": 1})
    assert shown.json() | {"last_used_at": None} == made
    assert page.json()["items"][0]["id"] == made["id"]
    assert page.json()["next_cursor"] is not None
    rest = await client.get(KEYS, params={"cursor": page.json()["next_cursor"]})
    everything = shown.text + page.text + rest.text + (await client.get("/v1/audit-log")).text
    assert secret not in everything
    assert made["created_by"].startswith("api_key:")
    by_maker = await client.get(KEYS, params={"created_by": made["created_by"]})
    assert [key["id"] for key in by_maker.json()["items"]] == [made["id"]]


async def test_a_key_is_changed_and_revoked(client: httpx.AsyncClient) -> None:
    made = await create(client, requests_per_minute=5)
    address = f"{KEYS}/{made['id']}"
    changed = await client.patch(address, json={"name": "new", "requests_per_minute": None})
    assert (changed.status_code, changed.json()["name"]) == (200, "new")
    assert changed.json()["requests_per_minute"] is None
    assert await status(client, made["key"]) == 200
    for _ in range(2):
        assert (await client.delete(address)).status_code == 204
    assert await status(client, made["key"]) == 401
    assert (await client.get(address)).json()["revoked_at"] is not None
    entries = (await client.get("/v1/audit-log", params={"target_id": made["id"]})).json()["items"]
    assert [entry["action"] for entry in entries] == [
        "api_key.revoked",
        "api_key.changed",
        "api_key.created",
    ]
    assert {entry["address"] for entry in entries} != {None}


async def test_a_key_s_own_rate_limit_holds_from_the_change_on(client: httpx.AsyncClient) -> None:
    made = await create(client)
    assert [await status(client, made["key"]) for _ in range(3)] == [200] * 3
    await client.patch(f"{KEYS}/{made['id']}", json={"requests_per_minute": 1})
    assert 429 in [await status(client, made["key"]) for _ in range(3)]


async def test_f35_rotation_over_http(client: httpx.AsyncClient) -> None:
    made = await create(client)
    address = f"{KEYS}/{made['id']}/rotate"
    answer = await client.post(address, json={"overlap_seconds": 60})
    new = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"{KEYS}/{new['id']}")
    assert answer.headers["cache-control"] == "no-store"
    assert [await status(client, key["key"]) for key in (made, new)] == [200, 200]
    again = await client.post(address, json={})
    assert (again.status_code, again.json()["code"]) == (409, "api_key_replaced")
    newest = (await client.post(f"{KEYS}/{new['id']}/rotate", json={})).json()
    assert [await status(client, key["key"]) for key in (made, new, newest)] == [200, 401, 200]
    ended = await client.post(f"{KEYS}/{new['id']}/rotate", json={})
    assert ended.status_code == 409


async def test_an_expired_key_is_told_so(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    made = await create(client, expires_at=soon.isoformat())
    await until_refused(client, made["key"])
    answer = await client.get("/v1/me", headers=bearer(made["key"]))
    assert answer.json()["code"] == "invalid_credentials"
    assert "expired" in answer.json()["detail"]
    ended = await client.post(f"{KEYS}/{made['id']}/rotate", json={})
    assert (ended.status_code, ended.json()["code"]) == (409, "api_key_ended")


async def test_f23_an_ended_key_is_refused_by_another_process(
    clone: Any, database: Database, scope: TenantScope
) -> None:
    owner = bearer(await make_key(database, scope, Role.OWNER))
    async with (
        clone.open() as other,
        client_of(application(database)) as here,
        client_of(application(other)) as there,
    ):
        for end in ("revoke", "rotate"):
            made = await make_key(database, scope)
            # Both know the key from their caches.
            assert [await status(client, made.key) for client in (here, there)] == [200, 200]
            if end == "revoke":
                await here.delete(f"{KEYS}/{made.id}", headers=owner)
            else:
                await here.post(f"{KEYS}/{made.id}/rotate", headers=owner, json={})
            assert await status(here, made.key) == 401
            await until_refused(there, made.key)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 422),
        ({"name": "", "role": "viewer"}, 422),
        ({"name": "x" * 201, "role": "viewer"}, 422),
        ({"name": "a\0b", "role": "viewer"}, 422),
        ({"name": "x", "role": "god"}, 422),
        ({"name": "x", "role": "viewer", "requests_per_minute": 0}, 422),
        ({"name": "x", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"}, 422),
        ({"name": "x", "role": "viewer", "expires_at": "2220-01-01T00:00:00"}, 422),
        ({"name": "x", "role": "viewer", "expires_at": "9999-12-31T23:59:59-12:00"}, 422),
        ({"name": "x", "role": "viewer", "expires_at": "0001-01-01T00:00:00+12:00"}, 422),
        ({"name": "x", "role": "viewer", "prefix": "mun_x"}, 422),
        ({"name": "x", "role": "viewer", "workspace_id": str(new_id())}, 404),
    ],
)
async def test_a_wrong_body_is_told_so(
    client: httpx.AsyncClient, body: dict[str, Any], code: int
) -> None:
    answer = await client.post(KEYS, json=body)
    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_wrong_overlap_is_told_so(client: httpx.AsyncClient) -> None:
    made = await create(client)
    for overlap in (-1, 604_801, "x", None):
        answer = await client.post(f"{KEYS}/{made['id']}/rotate", json={"overlap_seconds": overlap})
        assert answer.status_code == 422
    answer = await client.post(f"{KEYS}/{made['id']}/rotate", json={"overlap_seconds": 604_800})
    assert answer.status_code == 201


async def test_who_may_not_manage_keys(
    client: httpx.AsyncClient, database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    """Each address with each caller."""
    async with database.unit_of_work(scope) as work:
        workspace_id = WorkspaceId(
            await work.connection.fetchval("SELECT workspace_id FROM workspaces")
        )
    made = await make_key(database, scope, Role.VIEWER)
    requests: list[tuple[str, str, Any]] = [
        ("GET", KEYS, None),
        ("POST", KEYS, {"name": "x", "role": "viewer"}),
        ("GET", f"{KEYS}/{made.id}", None),
        ("PATCH", f"{KEYS}/{made.id}", {"name": "x"}),
        ("POST", f"{KEYS}/{made.id}/rotate", {}),
        ("DELETE", f"{KEYS}/{made.id}", None),
    ]
    stranger = await make_key(database, other_scope, Role.OWNER)
    limited = await make_key(database, scope, Role.OWNER, workspace_id=workspace_id)
    callers = [
        (bearer(await make_key(database, scope, Role.EDITOR)), 403),
        (bearer(limited), 403),
        (bearer(made), 403),
        ({"Authorization": "Bearer mun_unknown"}, 401),
    ]
    for method, path, body in requests:
        for headers, code in callers:
            answer = await client.request(method, path, json=body, headers=headers)
            assert answer.status_code == code, (method, path)
        if path != KEYS:
            answer = await client.request(method, path, json=body, headers=bearer(stranger))
            assert (answer.status_code, answer.json()["code"]) == (404, "api_key_not_found")
    above = await client.post(
        KEYS,
        json={"name": "x", "role": "owner"},
        headers=bearer(await make_key(database, scope, Role.ADMIN)),
    )
    assert (above.status_code, above.json()["code"]) == (403, "not_allowed")


async def test_f01_statements_of_a_request_that_nothing_is_cached_for(
    database: Database, scope: TenantScope
) -> None:
    """As the request's own line in the log tells: others work in the background."""
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    made = await make_key(database, scope, Role.OWNER)
    for path in (KEYS, f"{KEYS}/{made.id}", "/v1/audit-log", "/v1/organization", "/v1/me"):
        async with client_of(application(database)) as client:
            for most in (4, 1):
                answer = await client.get(path, headers=bearer(made))
                assert answer.status_code == 200
                told = json.loads(stream.getvalue().splitlines()[-1])
                assert told["request_id"] == answer.headers["x-request-id"]
                assert told["statements"] <= most, path


async def test_no_key_is_logged(database: Database, scope: TenantScope) -> None:
    stream = io.StringIO()
    configure_logging("json", "debug", stream=stream)
    owner = await make_key(database, scope, Role.OWNER)
    async with client_of(application(database)) as client:
        made = (
            await client.post(KEYS, json={"name": "x", "role": "viewer"}, headers=bearer(owner))
        ).json()
        await client.post(f"{KEYS}/{made['id']}/rotate", json={}, headers=bearer(owner))
        await client.get(KEYS, headers=bearer(made["key"]))
    lines = stream.getvalue()
    assert [json.loads(line) for line in lines.splitlines()]
    assert made["key"] not in lines
    assert owner.key not in lines
