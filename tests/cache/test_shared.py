"""The second level in Redis: shared, never stale whatever it does, dispensable (F22, F64)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from muniment.cache import Cache, open_cache
from muniment.db import Database
from muniment.db.installation import Installation
from tests.cache.things import THINGS, Source, Thing, counted
from tests.conftest import Clone, cloned
from tests.redis_server import RedisServer
from tests.waiting import until

TAG = "thing"


@pytest.fixture(scope="module")
def clone(server: Installation) -> Iterator[Clone]:
    """One database for all tests of this file: none of them writes anything."""
    with cloned(server) as clone:
        yield clone


@pytest.fixture
async def elsewhere(clone: Clone) -> AsyncIterator[Database]:
    """The database as another process has it."""
    async with clone.open() as database:
        yield database


@asynccontextmanager
async def opened(database: Database, redis: RedisServer) -> AsyncIterator[Cache]:
    async with open_cache(database, redis_url=redis.url) as cache:
        assert await cache.wait_until_listening(10)
        await until(lambda: cache.statistics().redis_up)
        yield cache


async def ask(cache: Cache, source: Source, partition: str = "ours") -> Thing | None:
    return await cache.get(THINGS, partition, "a", source.load, tags=(TAG,))


async def commit(database: Database, *caches: Cache) -> None:
    heard = [cache.statistics().announcements for cache in caches]
    async with database.system() as work:
        work.invalidate(f"ours/{TAG}")
    for cache, before in zip(caches, heard, strict=True):
        await until(lambda cache=cache, before=before: cache.statistics().announcements > before)


async def test_a_value_is_loaded_once_for_all_processes(
    database: Database, elsewhere: Database, redis_server: RedisServer
) -> None:
    source = Source()
    async with opened(database, redis_server) as ours, opened(elsewhere, redis_server) as theirs:
        for cache in (ours, theirs):
            assert await ask(cache, source) == Thing("first")
            assert await ask(cache, source) == Thing("first")
        assert source.loads == 1
        assert counted(theirs).shared_hits == 1
        await commit(database, ours, theirs)
        source.value = Thing("second")
        for cache in (theirs, ours):
            assert await ask(cache, source) == Thing("second")
        assert source.loads == 2
        # Another partition has nothing of it, and neither has who came later.
        await ask(theirs, source, "theirs")
        assert source.loads == 3


async def test_many_are_read_and_written_in_one_round_trip_each(
    database: Database, elsewhere: Database, own_redis: RedisServer
) -> None:
    source = Source()
    keys = [str(number) for number in range(100)]
    async with opened(database, own_redis) as ours, opened(elsewhere, own_redis) as theirs:
        await ours.get_many(THINGS, "ours", keys, source.load_many)
        own_redis.command("CONFIG", "RESETSTAT")
        found = await theirs.get_many(THINGS, "ours", [*keys, "x"], source.load_many)
        assert len(found) == 101
        assert source.asked_for == [tuple(keys), ("x",)]
        calls = own_redis.command("INFO", "commandstats").decode()
        assert "cmdstat_mget:calls=1," in calls
        assert "cmdstat_get:" not in calls
        assert "cmdstat_keys:" not in calls
        assert "cmdstat_scan:" not in calls


async def test_what_redis_brings_back_from_the_past_is_not_served(
    database: Database, elsewhere: Database, own_redis: RedisServer
) -> None:
    source = Source()
    async with opened(database, own_redis) as ours, opened(elsewhere, own_redis) as theirs:
        await ask(ours, source)
        # A replica that had not seen the latest writes takes over: all is as it was before.
        own_redis.command("COPY", *await only_key(own_redis), "past")
        source.value = Thing("second")
        await commit(database, ours, theirs)
        await ask(ours, source)
        own_redis.command("COPY", "past", *await only_key(own_redis), "REPLACE")
        assert await ask(theirs, source) == Thing("second")
        assert counted(theirs).shared_hits == 0


async def only_key(redis: RedisServer) -> tuple[str]:
    answer = redis.command("KEYS", "muniment:*").decode().split("\r\n")
    assert answer[0] == "*1"
    return (answer[2],)


async def test_a_commit_that_redis_never_heard_of_counts_when_it_is_back(
    database: Database, elsewhere: Database, own_redis: RedisServer
) -> None:
    source = Source()
    async with opened(database, own_redis) as ours, opened(elsewhere, own_redis) as theirs:
        await ask(ours, source)
        own_redis.freeze()
        source.value = Thing("second")
        await commit(database, ours, theirs)
        for cache in (ours, theirs):
            assert await ask(cache, source) == Thing("second")
        assert counted(ours).redis_errors + counted(theirs).redis_errors > 0
        own_redis.thaw()
        await until(lambda: ours.statistics().redis_up and theirs.statistics().redis_up)
        async with opened(elsewhere, own_redis) as newcomer:
            # Redis still holds the first value.
            await only_key(own_redis)
            for cache in (ours, theirs, newcomer):
                assert await ask(cache, source) == Thing("second")


async def test_redis_killed_and_restarted_under_load_harms_nobody(
    database: Database, elsewhere: Database, own_redis: RedisServer
) -> None:
    source = Source()
    stop = asyncio.Event()
    answers = 0

    async def keep_asking(cache: Cache) -> None:
        nonlocal answers
        while not stop.is_set():
            for number in range(20):
                key = str(number)
                found = await cache.get(THINGS, "ours", key, source.load, tags=(TAG,))
                assert found == Thing("first")
                answers += 1
            await asyncio.sleep(0.001)

    async with (
        opened(database, own_redis) as ours,
        opened(elsewhere, own_redis) as theirs,
        asyncio.TaskGroup() as asking,
    ):
        for cache in (ours, theirs):
            asking.create_task(keep_asking(cache))
        for harm, repair in (
            (own_redis.kill, own_redis.start),
            (own_redis.freeze, own_redis.thaw),
        ):
            harm()
            for cache in (ours, theirs):
                await commit(database)
                await until(lambda cache=cache: not cache.statistics().redis_up)
            before = answers
            await until(lambda before=before: answers > before + 1000)
            await asyncio.to_thread(repair)
            for cache in (ours, theirs):
                await until(lambda cache=cache: cache.statistics().redis_up)
            # What one loads is there for the other again.
            shared = counted(ours).shared_hits + counted(theirs).shared_hits
            await until_shared(database, ours, theirs, shared)
        stop.set()


async def until_shared(database: Database, ours: Cache, theirs: Cache, before: int) -> None:
    deadline = asyncio.get_running_loop().time() + 20
    while counted(ours).shared_hits + counted(theirs).shared_hits <= before:
        await commit(database, ours, theirs)
        assert asyncio.get_running_loop().time() < deadline


async def test_a_process_starts_without_redis_and_takes_it_up_later(
    database: Database, own_redis: RedisServer
) -> None:
    own_redis.kill()
    source = Source()
    async with open_cache(database, redis_url=own_redis.url) as cache:
        assert await ask(cache, source) == Thing("first")
        assert await ask(cache, source) == Thing("first")
        assert cache.statistics().redis_up is False
        assert source.loads == 1
        await asyncio.to_thread(own_redis.start)
        await until(lambda: cache.statistics().redis_up)


async def test_a_value_that_means_nothing_to_us_is_replaced(
    database: Database, own_redis: RedisServer
) -> None:
    source = Source()
    async with opened(database, own_redis) as cache:
        await ask(cache, source)
        [key] = await only_key(own_redis)
        for nonsense in ("", "nonsense", "\x93\x92\xa2#x\x00\xcb"):
            own_redis.command("SET", key, nonsense)
            await commit(database, cache)
            assert await ask(cache, source) == Thing("first")


async def test_a_full_redis_is_no_reason_to_fail(
    database: Database, elsewhere: Database, own_redis: RedisServer
) -> None:
    source = Source()
    own_redis.command("CONFIG", "SET", "maxmemory", "1")
    async with opened(database, own_redis) as cache:
        assert await ask(cache, source) == Thing("first")
        assert cache.statistics().redis_up is True
        assert counted(cache).redis_errors == 1


async def test_a_cluster_serves_as_well(
    database: Database, elsewhere: Database, redis_cluster: RedisServer
) -> None:
    source = Source()
    url = redis_cluster.url.replace("redis://", "redis+cluster://")
    async with (
        open_cache(database, redis_url=url) as ours,
        open_cache(elsewhere, redis_url=url) as theirs,
    ):
        for cache in (ours, theirs):
            await until(lambda cache=cache: cache.statistics().redis_up)
        keys = [str(number) for number in range(10)]
        for cache in (ours, theirs):
            assert len(await cache.get_many(THINGS, "ours", keys, source.load_many)) == 10
        assert len(source.asked_for) == 1
        await commit(database, ours, theirs)
        assert theirs.statistics().redis_failures == 0
