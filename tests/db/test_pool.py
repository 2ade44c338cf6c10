"""Connections are bounded in number, age and waiting time, and losing one costs no request."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest

from muniment.db import Database, TenantScope, load_statements
from muniment.db.errors import DatabaseUnavailable, PoolExhausted
from muniment.db.installation import installation, upgrade
from muniment.settings import Settings

jobs = load_statements("muniment.jobs")


def end_sessions(owner_dsn: str) -> int:
    """End every session of the application, as a restart of the server does."""
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


async def fill(database: Database, count: int) -> None:
    """Open connections and leave them idle."""

    async def use() -> None:
        async with database.system() as work:
            await work.connection.execute("SELECT pg_sleep(0.05)")

    await asyncio.gather(*(use() for _ in range(count)))


async def backend(database: Database) -> int:
    async with database.system() as work:
        pid: int = await work.connection.fetchval("SELECT pg_backend_pid()")
    return pid


async def test_lost_idle_connections_cost_nothing(clone: Any, scope: TenantScope) -> None:
    async with clone.open() as database:
        await fill(database, 5)
        assert database.pool.get_idle_size() == 5

        async def transaction() -> int:
            async with database.unit_of_work(scope) as work:
                value: int = await work.connection.fetchval("SELECT 1")
            return value

        async def single() -> int:
            async with database.single_statement() as work:
                value: int = await work.connection.fetchval("SELECT 1")
            return value

        # Nothing is awaited in between, so this process has not noticed yet.
        assert end_sessions(clone.installation.owner_dsn) >= 5
        results = await asyncio.gather(
            *(transaction() for _ in range(10)), *(single() for _ in range(10))
        )
        assert results == [1] * 20
        assert database.pool.get_idle_size() == database.pool.get_size() > 0


async def test_a_transaction_that_has_begun_is_not_run_again(clone: Any) -> None:
    runs = 0
    async with clone.open() as database:
        with pytest.raises(DatabaseUnavailable):
            async with database.system() as work:
                runs += 1
                end_sessions(clone.installation.owner_dsn)
                await work.connection.execute("SELECT 1")
        assert runs == 1
        assert await backend(database)
        assert database.pool.get_idle_size() == database.pool.get_size() == 1


async def test_one_lost_connection_replaces_the_others_once(clone: Any) -> None:
    async with clone.open() as database:
        await fill(database, 5)
        end_sessions(clone.installation.owner_dsn)
        await fill(database, 5)
        first = await backend(database)
        assert [await backend(database) for _ in range(3)] == [first] * 3


async def test_connections_are_replaced_when_they_are_old(clone: Any) -> None:
    async with clone.open(pool_lifetime=0.001) as database:
        first = await backend(database)
        assert database.pool.get_size() == 0
        assert await backend(database) != first


async def test_lifetimes_differ_by_a_tenth(clone: Any) -> None:
    async with clone.open(pool_lifetime=1000.0) as database:
        await fill(database, 5)
        async with (
            database.pool.acquire() as one,
            database.pool.acquire() as two,
            database.pool.acquire() as three,
        ):
            spans = {one.ends - one.born, two.ends - two.born, three.ends - three.born}
    assert len(spans) == 3
    assert all(900 <= span <= 1100 for span in spans)


async def test_unused_connections_are_closed(clone: Any) -> None:
    async with clone.open(pool_idle=0.01) as database:
        await fill(database, 3)
        async with asyncio.timeout(10):
            while database.pool.get_size():  # noqa: ASYNC110  # it is no event
                await asyncio.sleep(0.01)


async def test_waiting_in_vain_ends_in_time(clone: Any) -> None:
    async with clone.open(pool_size=2, acquire_timeout=0.05) as database:
        waits: list[float] = []
        database.pool.observers.append(waits.append)
        async with database.system(), database.system():
            with pytest.raises(PoolExhausted):
                async with database.system():
                    pass
        assert waits[-1] >= 0.05
        assert database.pool.waiting == 0
        await backend(database)


async def test_a_time_out_of_the_body_is_its_own(database: Database) -> None:
    with pytest.raises(TimeoutError):
        async with database.system(), asyncio.timeout(0.01):
            await asyncio.Event().wait()
    assert await backend(database)


async def test_transactions_are_bounded_in_time(clone: Any, scope: TenantScope) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    async with clone.open(pool_size=1, statement_timeout=10.0) as database:
        async with database.unit_of_work(scope) as work:
            inside = [await work.connection.fetchval(f"SHOW {name}") for name in names]
        async with database.single_statement() as work:
            after = [await work.connection.fetchval(f"SHOW {name}") for name in names]
    assert inside == ["10s", "5s", "1min"]
    # They end with their transaction, so a pooler may hand the session to anybody.
    assert after[:2] == ["1min", "0"]  # what roles.sql gives the role


async def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    held: list[asyncio.StreamWriter] = []

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_unix_server(silent, tmp_path / ".s.PGSQL.5432")
    dsn = f"postgresql://muniment_app@/test?host={tmp_path}"
    async with (
        server,
        Database.open(
            dsn,
            dsn,
            pool_size=2,
            operator_pool_size=1,
            acquire_timeout=0.1,
            statement_timeout=1.0,
        ) as database,
    ):
        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            async with database.system():
                pass
        for writer in held:
            writer.close()


async def test_a_stopped_server_is_told_at_once_and_found_again(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir)
    with installation(settings) as target:
        upgrade(target)
        context = target.open(settings, statement_timeout=5)
        database = await context.__aenter__()
        await fill(database, 3)
    # The last user has left, so the server has stopped.
    started = monotonic()
    results = await asyncio.gather(*(backend(database) for _ in range(20)), return_exceptions=True)
    assert {type(result) for result in results} == {DatabaseUnavailable}
    assert monotonic() - started < 2
    with installation(settings):
        await fill(database, 3)
        assert await backend(database)
        await context.__aexit__(None, None, None)
