"""Loads that several wait for, and loads that an invalidation overtakes (F25)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from muniment.cache import Cache, open_cache
from muniment.db import Database
from muniment.db.installation import Installation
from tests.cache.things import THINGS, Source, Thing, counted
from tests.conftest import Clone, cloned
from tests.waiting import until


@pytest.fixture(scope="module")
def clone(server: Installation) -> Iterator[Clone]:
    """One database for all tests of this file: none of them writes anything."""
    with cloned(server) as clone:
        yield clone


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def cache(database: Database) -> AsyncIterator[Cache]:
    async with open_cache(database) as cache:
        assert await cache.wait_until_listening(10)
        yield cache


@pytest.fixture
async def elsewhere(clone: Clone) -> AsyncIterator[Database]:
    """The database as another process has it: its commits are known here by announcement only."""
    async with clone.open() as database:
        yield database


def ask(cache: Cache, source: Source) -> asyncio.Task[Thing | None]:
    return asyncio.create_task(cache.get(THINGS, "ours", "a", source.load, tags=("thing",)))


async def commit(elsewhere: Database, cache: Cache) -> None:
    heard = cache.statistics().announcements
    async with elsewhere.system() as work:
        work.invalidate("ours/thing")
    await until(lambda: cache.statistics().announcements > heard)


async def test_a_hundred_who_ask_at_once_share_one_load(cache: Cache, source: Source) -> None:
    source.may_end.clear()
    asked = [ask(cache, source) for _ in range(100)]
    await source.has_begun()
    source.may_end.set()
    assert await asyncio.gather(*asked) == [Thing("first")] * 100
    assert source.loads == 1
    assert counted(cache).joined == 99


async def test_when_the_loading_one_is_cancelled_another_loads(
    cache: Cache, source: Source
) -> None:
    source.may_end.clear()
    asked = [ask(cache, source) for _ in range(10)]
    await source.has_begun()
    asked[0].cancel()
    asked[5].cancel()
    await until(lambda: source.loads == 2)
    source.may_end.set()
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(end) for end in ends].count(asyncio.CancelledError) == 2
    assert ends.count(Thing("first")) == 8
    assert source.loads == 2


async def test_a_failed_load_fails_for_all_who_wait_and_is_not_kept(
    cache: Cache, source: Source
) -> None:
    source.may_end.clear()
    source.error = LookupError("gone")
    asked = [ask(cache, source) for _ in range(5)]
    await source.has_begun()
    source.may_end.set()
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(end, LookupError) for end in ends)
    assert source.loads == 1
    source.error = None
    assert await ask(cache, source) == Thing("first")
    assert counted(cache).failures == 1


async def test_several_and_single_ones_share_their_loads(cache: Cache, source: Source) -> None:
    source.may_end.clear()
    many = asyncio.create_task(cache.get_many(THINGS, "ours", ["a", "b"], source.load_many))
    await source.has_begun()
    others = asyncio.create_task(cache.get_many(THINGS, "ours", ["b", "c"], source.load_many))
    one = ask(cache, source)
    await until(lambda: len(source.asked_for) == 2)
    source.may_end.set()
    assert await many == {"a": Thing("a"), "b": Thing("b")}
    assert await others == {"b": Thing("b"), "c": Thing("c")}
    assert await one == Thing("a")
    assert source.asked_for == [("a", "b"), ("c",)]
    assert source.loads == 0


async def test_a_value_from_before_a_commit_is_never_kept(
    cache: Cache, source: Source, elsewhere: Database
) -> None:
    source.may_end.clear()
    early = ask(cache, source)
    await source.has_begun()
    source.value = Thing("second")
    await commit(elsewhere, cache)
    # Who asks from now on must not wait for what the early one will get.
    source.began.clear()
    late = ask(cache, source)
    await source.has_begun()
    source.may_end.set()
    assert await early == Thing("first")
    assert await late == Thing("second")
    assert await ask(cache, source) == Thing("second")
    assert source.loads == 2


async def test_a_load_that_outlives_others_does_not_replace_theirs(
    cache: Cache, source: Source, elsewhere: Database
) -> None:
    slow, quick = Source("first"), Source("second")
    slow.may_end.clear()
    early = ask(cache, slow)
    await slow.has_begun()
    await commit(elsewhere, cache)
    assert await ask(cache, quick) == Thing("second")
    slow.may_end.set()
    assert await early == Thing("first")
    assert await ask(cache, source) == Thing("second")
    assert source.loads == 0


async def test_a_commit_of_this_process_overtakes_its_loads_too(
    cache: Cache, source: Source, database: Database
) -> None:
    source.may_end.clear()
    early = ask(cache, source)
    await source.has_begun()
    source.value = Thing("second")
    async with database.system() as work:
        work.invalidate("ours/thing")
    source.may_end.set()
    assert await ask(cache, source) == Thing("second")
    assert await early == Thing("first")
    assert await ask(cache, source) == Thing("second")
