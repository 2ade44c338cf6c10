"""Losing the database costs no request where that can be, and no restart in any case."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

import httpx
import psycopg

from muniment.db import Database, Role
from muniment.db.installation import Installation, installation, upgrade
from muniment.settings import Settings
from muniment.tenancy.keys.create import create_api_key
from tests.app.conftest import application, client_of
from tests.conftest import Clone, make_organization

REQUESTS = 20


async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
    return list(
        await asyncio.gather(*(client.get("/v1/test/things?limit=1") for _ in range(REQUESTS)))
    )


def end_sessions(target: Installation) -> None:
    """End every session that does nothing, as a restart of the server or of a pooler does."""
    with psycopg.connect(target.owner_dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = 'muniment_app' AND state = 'idle'"
        )


async def test_ended_sessions_cost_no_request(
    client: httpx.AsyncClient, database: Database, clone: Clone
) -> None:
    for _ in range(3):
        await ask(client)
        assert database.pool.get_idle_size() > 1
        # Nothing is awaited in between: the application has not noticed yet.
        end_sessions(clone.installation)
        answers = await ask(client)
        assert {answer.status_code for answer in answers} == {200}
    assert database.pool.get_idle_size() == database.pool.get_size()


async def test_a_caller_who_is_not_cached_is_found_on_a_lost_connection(
    database: Database, api_key: str, clone: Clone
) -> None:
    async with client_of(application(database)) as client:
        end_sessions(clone.installation)
        headers = {"authorization": f"Bearer {api_key}"}
        answer = await client.get("/v1/test/things", headers=headers)
        assert answer.status_code == 200


async def test_a_stopped_server_is_told_at_once_and_found_again(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir)
    with installation(settings) as target:
        upgrade(target)
        opened = target.open(settings, statement_timeout=5)
        database = await opened.__aenter__()
        scope = await make_organization(database, "Ours")
        async with database.unit_of_work(scope) as work:
            made = await create_api_key(work, "test", Role.OWNER)
        running = client_of(application(database))
        client = await running.__aenter__()
        client.headers["authorization"] = f"Bearer {made.key}"
        assert {answer.status_code for answer in await ask(client)} == {200}
    # The last user has left, so the server has stopped.
    for _ in range(2):
        started = monotonic()
        answers = await ask(client)
        assert monotonic() - started < 2
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.json()["code"] for answer in answers} == {"database_unavailable"}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/readyz")).status_code == 503
    with installation(settings):
        assert {answer.status_code for answer in await ask(client)} == {200}
        assert (await client.get("/readyz")).status_code == 200
        await running.__aexit__(None, None, None)
        await opened.__aexit__(None, None, None)
