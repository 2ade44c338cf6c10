"""Values in one process: what is kept, for how long, for whom, and what makes it go (F21, F22)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import msgspec
import pytest

from muniment.cache import EVERYTHING, Cache, Namespace, open_cache
from muniment.db import Database
from muniment.db.installation import Installation
from tests.cache.things import ABSENCES, BRIEF, TEXTS, THINGS, Source, Thing, counted
from tests.conftest import Clone, cloned


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


async def invalidate(database: Database, *tags: str) -> None:
    async with database.system() as work:
        work.invalidate(*tags)


async def put(cache: Cache, partition: str, key: str, text: str = "value", tag: str = "t") -> None:
    async def load() -> str:
        return text

    assert await cache.get(TEXTS, partition, key, load, tags=(tag,)) == text


async def test_a_value_is_loaded_once(cache: Cache, source: Source) -> None:
    for _ in range(3):
        assert await cache.get(THINGS, "ours", "a", source.load) == Thing("first")
    assert source.loads == 1
    figures = counted(cache)
    assert (figures.memory_hits, figures.misses, figures.entries) == (2, 1, 1)
    assert figures.bytes > 0
    assert figures.load_seconds > 0


async def test_a_commit_makes_it_be_loaded_again(
    cache: Cache, source: Source, database: Database
) -> None:
    await cache.get(THINGS, "ours", "a", source.load, tags=("thing-a",))
    source.value = Thing("second")
    await invalidate(database, "ours/thing-a")
    for _ in range(2):
        again = await cache.get(THINGS, "ours", "a", source.load, tags=("thing-a",))
        assert again == Thing("second")
    assert source.loads == 2


async def test_a_rollback_changes_nothing(cache: Cache, source: Source, database: Database) -> None:
    await cache.get(THINGS, "ours", "a", source.load, tags=("thing-a",))
    with pytest.raises(LookupError):
        async with database.system() as work:
            work.invalidate("ours/thing-a")
            raise LookupError
    await invalidate(database, "ours/other")
    await cache.get(THINGS, "ours", "a", source.load, tags=("thing-a",))
    assert source.loads == 1


async def test_a_tag_takes_with_it_what_carries_it_and_nothing_else(
    cache: Cache, database: Database
) -> None:
    for key in ("a", "b", "c"):
        await put(cache, "ours", key, tag=f"tag-{key}")
        await put(cache, "theirs", key, tag=f"tag-{key}")
    await invalidate(database, "ours/tag-a", "theirs/tag-b", "ours/tag-of-nobody")
    assert counted(cache, "texts").entries == 4
    assert counted(cache, "texts").invalidations == 2
    await invalidate(database, "ours/all")
    assert counted(cache, "texts").entries == 2
    await put(cache, "ours", "a")
    await invalidate(database, EVERYTHING)
    assert counted(cache, "texts").entries == 0
    assert counted(cache, "texts").bytes == 0


async def test_partitions_share_nothing(cache: Cache) -> None:
    await put(cache, "ours", "a", "mine")
    await put(cache, "theirs", "a", "yours")
    await put(cache, "ours", "a", "mine")
    with pytest.raises(ValueError, match="partition"):
        await put(cache, "ours/all theirs", "a")
    with pytest.raises(ValueError, match="tag"):
        await put(cache, "ours", "b", tag="x theirs/all")


async def test_values_expire(cache: Cache, source: Source) -> None:
    await cache.get(BRIEF, "ours", "a", source.load)
    deadline = asyncio.get_running_loop().time() + 10
    while source.loads == 1:
        await cache.get(BRIEF, "ours", "a", source.load)
        assert asyncio.get_running_loop().time() < deadline


async def test_absence_is_remembered_only_where_the_namespace_says_so(
    cache: Cache, source: Source
) -> None:
    source.value = None
    for _ in range(2):
        assert await cache.get(THINGS, "ours", "a", source.load) is None
    assert source.loads == 2
    for _ in range(2):
        assert await cache.get(ABSENCES, "ours", "a", source.load) is None
        assert await cache.get_many(ABSENCES, "ours", ["absent"], source.load_many) == {}
    assert source.loads == 3
    assert source.asked_for == [("absent",)]


async def test_the_longest_unused_goes_first(database: Database) -> None:
    async with open_cache(database, max_entries=3) as cache:
        for key in ("a", "b", "c"):
            await put(cache, "ours", key)
        await put(cache, "ours", "a")
        await put(cache, "ours", "d")
        figures = counted(cache, "texts")
        assert (figures.entries, figures.evictions) == (3, 1)
        await put(cache, "ours", "a")
        assert counted(cache, "texts").memory_hits == 2
        await put(cache, "ours", "b")
        assert counted(cache, "texts").memory_hits == 2


async def test_bytes_are_bounded(database: Database) -> None:
    bound = 100_000
    async with open_cache(database, max_bytes=bound) as cache:
        for number in range(200):
            await put(cache, "ours", str(number), "x" * 5_000)
            assert counted(cache, "texts").bytes <= bound
        figures = counted(cache, "texts")
        assert 15 <= figures.entries <= 20
        assert figures.evictions == 200 - figures.entries
        # One that would take most of the room is not worth all the others.
        await put(cache, "ours", "large", "x" * 50_000)
        assert counted(cache, "texts").entries == figures.entries


async def test_many_are_loaded_at_once_and_only_those_that_are_missing(
    cache: Cache, source: Source, database: Database
) -> None:
    def tag_of(key: str) -> str:
        return f"doc-{key}"

    keys = ["a", "b", "absent", "a"]
    found = await cache.get_many(THINGS, "ours", keys, source.load_many, tag_of=tag_of)
    assert found == {"a": Thing("a"), "b": Thing("b")}
    await cache.get_many(THINGS, "ours", ["a", "b", "c"], source.load_many, tag_of=tag_of)
    await invalidate(database, "ours/doc-b")
    await cache.get_many(THINGS, "ours", ["a", "b", "c"], source.load_many, tag_of=tag_of)
    assert source.asked_for == [("a", "b", "absent"), ("c",), ("b",)]


def test_a_namespace_says_what_is_wrong_with_it() -> None:
    class Mutable(msgspec.Struct):
        name: str

    with pytest.raises(TypeError, match="frozen"):
        Namespace("mutable", Mutable)
    with pytest.raises(ValueError, match="name of a namespace"):
        Namespace("With Space", str)
    with pytest.raises(ValueError, match="time to live"):
        Namespace("eternal", str, ttl=timedelta(days=2))


async def test_a_name_stands_for_one_namespace(cache: Cache, source: Source) -> None:
    await cache.get(THINGS, "ours", "a", source.load)
    with pytest.raises(ValueError, match="two namespaces"):
        await cache.get(Namespace("things", Thing), "ours", "b", source.load)
