"""Who a caller is, and the organization they are in."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from muniment.db import (
    Database,
    Role,
    TenantScope,
    UserId,
    WorkspaceId,
    new_id,
)
from muniment.observability.logging import configure_logging
from muniment.tenancy.people.sessions import SessionTerms, open_session
from muniment.tenancy.permissions import RULES
from tests.app.conftest import application, client_of
from tests.tenancy.keys.conftest import bearer, make_key

TERMS = SessionTerms(b"test secret", timedelta(hours=72), timedelta(days=30))


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application(database)) as client:
        yield client


async def sign_in(database: Database, scope: TenantScope, role: Role) -> tuple[UserId, str, str]:
    """Make a member with a session; return the user, the session's token and its CSRF token."""
    user_id = UserId(new_id())
    member = TenantScope(scope.org_id, None, f"user:{user_id}", role, user_id=user_id)
    async with database.unit_of_work(member) as work:
        await work.connection.execute(
            "INSERT INTO users (user_id, email, name) VALUES ($1, 'ada@example.com', 'Ada')",
            user_id,
        )
        await work.connection.execute(
            "INSERT INTO members (org_id, user_id, email, name, role)"
            " VALUES ($1, $2, 'ada@example.com', 'Ada', $3)",
            scope.org_id,
            user_id,
            role.value,
        )
        session = await open_session(
            work, user_id, terms=TERMS, org_id=scope.org_id, address=None, user_agent=None
        )
    return user_id, session.token, session.csrf_token


async def default_workspace(database: Database, scope: TenantScope) -> WorkspaceId:
    async with database.unit_of_work(scope) as work:
        return WorkspaceId(await work.connection.fetchval("SELECT workspace_id FROM workspaces"))


async def me(client: httpx.AsyncClient, **sent: Any) -> dict[str, Any]:
    answer = await client.get("/v1/me", **sent)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_key_learns_what_it_may_do(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    for role in Role:
        made = await make_key(database, scope, role)
        assert await me(client, headers=bearer(made)) == {
            "kind": "api_key",
            "organization": {"id": str(scope.org_id), "name": "Ours", "tier": "enterprise"},
            "role": role,
            "workspace_roles": {},
            "workspace_id": None,
            "api_key_id": str(made.id),
            "user": None,
            "actions": [action for action, rule in RULES.items() if role.covers(rule.role)],
        }


async def test_a_key_of_one_workspace_is_kept_from_what_concerns_all(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    workspace_id = await default_workspace(database, scope)
    made = await make_key(database, scope, Role.OWNER, workspace_id=workspace_id)
    told = await me(client, headers=bearer(made))
    assert told["workspace_id"] == str(workspace_id)
    assert told["actions"] == [
        action for action, rule in RULES.items() if not rule.organization_wide
    ]


async def test_a_member_learns_who_they_are(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    user_id, token, _ = await sign_in(database, scope, Role.ADMIN)
    workspace_id = await default_workspace(database, scope)
    async with database.unit_of_work(scope) as work:
        await work.connection.execute(
            "INSERT INTO workspace_roles (org_id, workspace_id, user_id, role)"
            " VALUES ($1, $2, $3, 'viewer')",
            scope.org_id,
            workspace_id,
            user_id,
        )
    told = await me(client, headers={"Cookie": f"muniment_session={token}"})
    assert told["kind"] == "session"
    assert told["user"] == {"id": str(user_id), "email": "ada@example.com", "name": "Ada"}
    assert (told["role"], told["api_key_id"], told["workspace_id"]) == ("admin", None, None)
    assert told["workspace_roles"] == {str(workspace_id): "viewer"}


async def test_f23_a_known_caller_is_told_without_a_statement(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    headers = bearer(await make_key(database, scope))
    for most in (2, 0):
        await me(client, headers=headers)
        told = json.loads(stream.getvalue().splitlines()[-1])
        assert (told["route"], told["status"]) == ("/v1/me", 200)
        assert told["statements"] <= most


async def test_the_organization_is_shown_and_renamed(
    client: httpx.AsyncClient, database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    owner = bearer(await make_key(database, scope, Role.OWNER))
    shown = (await client.get("/v1/organization", headers=owner)).json()
    assert shown.pop("created_at")
    assert shown == {"id": str(scope.org_id), "name": "Ours", "tier": "enterprise"}
    assert (await me(client, headers=owner))["organization"]["name"] == "Ours"
    for body, name in [({}, "Ours"), ({"name": "Mine"}, "Mine"), ({"name": "Mine"}, "Mine")]:
        answer = await client.patch("/v1/organization", json=body, headers=owner)
        assert (answer.status_code, answer.json()["name"]) == (200, name)
    assert (await me(client, headers=owner))["organization"]["name"] == "Mine"
    log = await client.get(
        "/v1/audit-log", params={"action": "organization.changed"}, headers=owner
    )
    (entry,) = log.json()["items"]
    assert (entry["before"], entry["after"]) == ({"name": "Ours"}, {"name": "Mine"})
    assert entry["target_id"] == str(scope.org_id)
    theirs = bearer(await make_key(database, other_scope, Role.VIEWER))
    assert (await client.get("/v1/organization", headers=theirs)).json()["name"] == "Theirs"


async def test_only_an_owner_of_the_whole_organization_changes_it(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    workspace_id = await default_workspace(database, scope)
    refused = [
        bearer(await make_key(database, scope, Role.ADMIN)),
        bearer(await make_key(database, scope, Role.OWNER, workspace_id=workspace_id)),
    ]
    for headers in refused:
        answer = await client.patch("/v1/organization", json={"name": "x"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    _, token, csrf_token = await sign_in(database, scope, Role.OWNER)
    headers = {"Cookie": f"muniment_session={token}"}
    answer = await client.patch("/v1/organization", json={"name": "x"}, headers=headers)
    assert answer.json()["code"] == "wrong_csrf_token"
    headers |= {"X-CSRF-Token": csrf_token}
    answer = await client.patch("/v1/organization", json={"name": "x"}, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body", [{"name": ""}, {"name": "x" * 201}, {"name": None}, {"name": 1}, {"tier": "free"}]
)
async def test_a_wrong_change_is_told_so(
    client: httpx.AsyncClient, database: Database, scope: TenantScope, body: dict[str, Any]
) -> None:
    headers = bearer(await make_key(database, scope, Role.OWNER))
    answer = await client.patch("/v1/organization", json=body, headers=headers)
    assert answer.status_code == 422, answer.text


async def test_nobody_is_told_without_credentials(client: httpx.AsyncClient) -> None:
    for path in ("/v1/me", "/v1/organization"):
        assert (await client.get(path)).status_code == 401
