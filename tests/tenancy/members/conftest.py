"""People who are members of an organization, each acting with a scope of their own."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from muniment.db import (
    Database,
    Role,
    TenantScope,
    UserId,
    WorkspaceId,
    new_id,
    observe_statements,
)
from muniment.settings import Settings
from tests.app.conftest import application, client_of

SECRET = b"a secret of the tests"
PASSWORD = "granite lantern tide"


async def add_member(
    database: Database, scope: TenantScope, role: Role, email: str | None = None
) -> TenantScope:
    """Make a person with a membership and return the scope that they act with."""
    user_id = UserId(new_id())
    address = email or f"{user_id.hex}@example.org"
    member = replace(scope, role=role, user_id=user_id, actor=f"user:{user_id}")
    async with database.unit_of_work(member) as work:
        await work.connection.execute(
            "INSERT INTO users (user_id, email, name) VALUES ($1, $2, $3)",
            user_id,
            address,
            f"A {role}",
        )
        await work.connection.execute(
            "INSERT INTO members (org_id, user_id, email, name, role) VALUES ($1, $2, $3, $4, $5)",
            scope.org_id,
            user_id,
            address,
            f"A {role}",
            role.value,
        )
    return member


async def add_workspace(database: Database, scope: TenantScope, name: str) -> WorkspaceId:
    workspace_id = WorkspaceId(new_id())
    async with database.unit_of_work(scope) as work:
        await work.connection.execute(
            "INSERT INTO workspaces (org_id, workspace_id, name) VALUES ($1, $2, $3)",
            scope.org_id,
            workspace_id,
            name,
        )
    return workspace_id


async def roles(database: Database, scope: TenantScope) -> dict[UUID | None, str]:
    """The roles of an organization's members."""
    async with database.unit_of_work(scope) as work:
        rows = await work.connection.fetch("SELECT user_id, role FROM members")
    return {row["user_id"]: row["role"] for row in rows}


async def audited(database: Database, scope: TenantScope) -> list[asyncpg.Record]:
    async with database.unit_of_work(scope) as work:
        return await work.connection.fetch("SELECT * FROM audit_log ORDER BY entry_id")


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the names of the statements that run, but for those of the transaction."""
    names: list[str] = []

    def observe(name: str, _seconds: float, _error: BaseException | None) -> None:
        if not name.startswith("db."):
            names.append(name)

    with observe_statements(observe):
        yield names


async def wait_until_somebody_waits(database: Database) -> None:
    """Return when a transaction waits for a lock of another; fail after ten seconds."""
    async with asyncio.timeout(10), database.operator() as work:
        waiting = 0
        while waiting == 0:
            waiting = await work.connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
            )


def served(database: Database, **settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    """Run the application and give a client, which is a browser with its own cookies."""
    chosen = Settings(_env_file=None, data_dir=Path(tempfile.gettempdir()), **settings)  # type: ignore[call-arg]
    return client_of(application(database, chosen))


def another_browser(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A browser without cookies that reaches the same application."""
    return httpx.AsyncClient(transport=client._transport, base_url=client.base_url)


async def sign_up(client: httpx.AsyncClient, email: str = "ada@example.com") -> dict[str, Any]:
    """Let the browser sign up; it sends the session's CSRF token from then on."""
    answer = await client.post(
        "/v1/sign-up",
        json={"email": email, "password": PASSWORD, "name": "Ada", "organization": "Analysts"},
    )
    return signed_in(client, answer)


def signed_in(client: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    """Take what the API tells of a session."""
    assert answer.status_code in {200, 201}, answer.text
    told: dict[str, Any] = answer.json()
    client.headers["x-csrf-token"] = told["csrf_token"]
    return told


def code_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]
