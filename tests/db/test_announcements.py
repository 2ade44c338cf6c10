"""A commit announces the cache tags of its transaction; a rollback announces nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from muniment.db import Database, TenantScope, UserId, new_id
from muniment.db.announcements import CHANNEL, notifications


@asynccontextmanager
async def listening(database: Database) -> AsyncIterator[asyncio.Queue[str]]:
    heard: asyncio.Queue[str] = asyncio.Queue()
    connection = await asyncpg.connect(database.dsn)
    try:
        await connection.add_listener(CHANNEL, lambda *told: heard.put_nowait(told[3]))
        yield heard
    finally:
        await connection.close()


async def test_tags_arrive_with_the_commit(database: Database, scope: TenantScope) -> None:
    observed: list[frozenset[str]] = []

    async def observer(tags: frozenset[str]) -> None:
        observed.append(tags)

    database.after_commit.append(observer)
    async with listening(database) as heard:
        async with database.unit_of_work(scope) as work:
            work.invalidate("abc/one", "abc/two")
            work.invalidate("abc/one")
            assert observed == []
        assert await asyncio.wait_for(heard.get(), 5) == "abc/one abc/two"
    assert observed == [frozenset({"abc/one", "abc/two"})]


async def test_nothing_is_announced_of_what_did_not_happen(
    database: Database, scope: TenantScope
) -> None:
    observed: list[frozenset[str]] = []

    async def observer(tags: frozenset[str]) -> None:
        observed.append(tags)

    database.after_commit.append(observer)
    async with listening(database) as heard:
        with pytest.raises(LookupError):
            async with database.unit_of_work(scope) as work:
                work.invalidate("abc/undone")
                raise LookupError
        async with database.unit_of_work(scope) as work:
            work.invalidate("abc/done")
        assert await asyncio.wait_for(heard.get(), 5) == "abc/done"
    assert observed == [frozenset({"abc/done"})]


@pytest.mark.parametrize(
    "tag", ["", "abc", "abc/", "/abc", "a'; DROP/x", "a b/c", "a/b\n", "a/b/c"]
)
async def test_tags_have_one_form(database: Database, scope: TenantScope, tag: str) -> None:
    async with database.unit_of_work(scope) as work:
        with pytest.raises(ValueError, match="not a cache tag"):
            work.invalidate(tag)


async def test_more_tags_than_a_notification_holds(database: Database, scope: TenantScope) -> None:
    tags = {f"partition/{number:0100}" for number in range(300)}
    async with listening(database) as heard:
        async with database.unit_of_work(scope) as work:
            work.invalidate(*tags)
        received: set[str] = set()
        while received < tags:
            received |= set((await asyncio.wait_for(heard.get(), 5)).split(" "))
    assert received == tags
    assert notifications(tags).count("pg_notify") > 1


async def test_announcements_are_one_statement_to_the_statistics(
    database: Database, scope: TenantScope
) -> None:
    """However many payloads there were: else they would crowd the others out."""
    for number in range(3):
        async with database.unit_of_work(scope) as work:
            work.invalidate(f"statistics/{number}")
    async with database.unit_of_work(scope) as work:
        kept = await work.connection.fetch(
            "SELECT query FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid"
            " WHERE datname = current_database() AND query ~ 'muniment_cache|pg_notify'"
            " AND query !~ 'pg_stat_statements'"
        )
    assert [row["query"] for row in kept] == ["SELECT pg_notify($1, $2)"]


async def test_a_person_sees_only_what_is_theirs(database: Database) -> None:
    """Units of work of a person open personal rows and no tenant's."""
    ours, theirs = UserId(new_id()), UserId(new_id())
    for user_id, email in ((ours, "we@example.org"), (theirs, "they@example.org")):
        async with database.person(user_id) as work:
            await work.connection.execute(
                "INSERT INTO users (user_id, email, name) VALUES ($1, $2, 'Somebody')",
                user_id,
                email,
            )
    async with database.person(ours) as work:
        assert [row["email"] for row in await work.connection.fetch("SELECT email FROM users")] == [
            "we@example.org"
        ]
        assert await work.connection.fetchval("SELECT count(*) FROM organizations") == 0
    async with database.system() as work:
        assert await work.connection.fetchval("SELECT count(*) FROM users") == 0
