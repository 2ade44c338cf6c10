from __future__ import annotations

import asyncio
import time
from datetime import datetime
from hashlib import sha256

from structlog.testing import capture_logs

from muniment.db import Database, Role, TenantScope, observe_statements
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.people.people import People
from muniment.tenancy.people.touches import Recent, Touches
from muniment.tenancy.secrets import hash_of
from tests.conftest import Clone
from tests.tenancy.people.conftest import ada


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_id_is_written_once_a_minute() -> None:
    clock = Clock()
    recent: Recent[int] = Recent(clock)
    recent.note(1)
    recent.note(1)
    recent.note(2)
    assert recent.take() == [1, 2]
    recent.note(1)
    assert recent.take() == []
    clock.now = 59
    recent.note(1)
    assert recent.take() == []
    clock.now = 61
    assert recent.take() == []
    recent.note(1)
    assert recent.take() == [1]


def test_what_is_remembered_is_bounded() -> None:
    clock = Clock()
    recent: Recent[int] = Recent(clock)
    for one in range(20_000):
        recent.note(one)
    batches = [len(recent.take()) for _ in range(11)]
    assert batches == [1000] * 10 + [0]
    clock.now = 61
    recent.take()
    recent.note(15_000)
    assert recent.take() == [15_000]


def test_noting_costs_next_to_nothing() -> None:
    recent: Recent[bytes] = Recent()
    used = sha256(b"").digest()
    start = time.perf_counter()
    for _ in range(10_000):
        recent.note(used)
    assert (time.perf_counter() - start) / 10_000 < 20e-6


async def make_older(people: People) -> tuple[bytes, Database]:
    signed_in = await ada(people)
    async with people.database.person(signed_in.user_id) as work:
        await work.connection.execute(
            "UPDATE sessions SET last_seen_at = last_seen_at - interval '1 hour'"
        )
    return hash_of(signed_in.session.token), people.database


async def last_seen(database: Database) -> datetime:
    async with database.operator() as work:
        value: datetime = await work.connection.fetchval("SELECT last_seen_at FROM sessions")
    return value


async def test_writes_what_was_used_in_one_statement_of_a_kind(
    people: People, scope: TenantScope
) -> None:
    token_hash, database = await make_older(people)
    before = await last_seen(database)
    async with database.unit_of_work(scope) as work:
        await create_api_key(work, "a key", Role.VIEWER)
        key_id = await work.connection.fetchval("SELECT api_key_id FROM api_keys")
    touches = Touches(database)
    touches.session(token_hash)
    touches.session(b"\x00" * 32)
    touches.api_key(key_id)
    ran: list[str] = []
    with observe_statements(lambda name, _seconds, _error: ran.append(name)):
        await touches.flush()
        await touches.flush()
    assert ran == ["tenancy.people.touch_sessions", "tenancy.people.touch_api_keys"]
    assert await last_seen(database) > before
    async with database.unit_of_work(scope) as work:
        assert await work.connection.fetchval("SELECT last_used_at FROM api_keys") is not None


async def test_two_processes_do_not_write_it_twice_within_a_minute(people: People) -> None:
    token_hash, database = await make_older(people)
    one, other = Touches(database), Touches(database)
    one.session(token_hash)
    await one.flush()
    written = await last_seen(database)
    other.session(token_hash)
    await other.flush()
    assert await last_seen(database) == written


async def test_is_written_every_few_seconds_and_at_the_end(people: People) -> None:
    token_hash, database = await make_older(people)
    before = await last_seen(database)
    async with Touches.running(database, every=0.01) as touches:
        touches.session(token_hash)
        async with asyncio.timeout(10):
            while await last_seen(database) == before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    token_hash, _ = await make_older_again(people)
    before = await last_seen(database)
    async with Touches.running(database) as touches:
        touches.session(token_hash)
    assert await last_seen(database) > before


async def make_older_again(people: People) -> tuple[bytes, Database]:
    async with people.database.operator() as work:
        token_hash = await work.connection.fetchval(
            "UPDATE sessions SET last_seen_at = last_seen_at - interval '1 hour'"
            " RETURNING token_hash"
        )
    return token_hash, people.database


async def test_a_database_that_is_busy_is_survived(clone: Clone) -> None:
    async with clone.open(acquire_timeout=0.05, pool_size=1) as database:
        with capture_logs() as logs:
            async with database.system(), Touches.running(database, every=0.01) as touches:
                touches.session(b"\x01" * 32)
                async with asyncio.timeout(10):
                    while not logs:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
    assert logs[0]["event"] == "last_use_not_written"
