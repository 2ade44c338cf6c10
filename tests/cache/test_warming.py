"""Namespaces that are filled ahead, at the start and after a flush (F24)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import pytest

from muniment.cache import EVERYTHING, WarmValue, open_cache
from muniment.cache.warming import WARM_VALUES
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


class Warmer:
    """Gives some values, and tells how often it was asked."""

    def __init__(self, count: int = 2) -> None:
        self.runs = 0
        self.count = count
        self.error: Exception | None = None
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def __call__(self) -> Iterable[WarmValue[Thing]]:
        self.runs += 1
        if self.error is not None:
            raise self.error
        name = f"warm {self.runs}"
        self.began.set()
        await self.may_end.wait()
        return (WarmValue("ours", str(key), Thing(name), ("t",)) for key in range(self.count))


async def test_warm_values_are_there_at_the_start_and_after_a_flush(
    database: Database, clone: Clone
) -> None:
    source, warmer = Source(), Warmer()
    async with clone.open() as elsewhere, open_cache(database) as cache:
        cache.warm(THINGS, warmer)
        await until(lambda: counted(cache).entries == 2)
        assert await cache.get(THINGS, "ours", "1", source.load) == Thing("warm 1")
        heard = cache.statistics().announcements
        async with elsewhere.system() as work:
            work.invalidate(EVERYTHING)
        await until(lambda: cache.statistics().announcements > heard)
        await until(lambda: counted(cache).entries == 2)
        assert await cache.get(THINGS, "ours", "1", source.load) == Thing("warm 2")
        assert source.loads == 0


async def test_a_warmer_is_bounded_and_cannot_hurt(database: Database) -> None:
    broken, large, after = Warmer(), Warmer(count=10 * WARM_VALUES), Warmer()
    broken.error = RuntimeError("no warmth here")
    async with open_cache(database, max_entries=10 * WARM_VALUES) as cache:
        cache.warm(THINGS, broken)
        await until(lambda: cache.statistics().warmer_failures == 1)
        cache.warm(THINGS, large)
        await until(lambda: counted(cache).entries == WARM_VALUES)
        large.may_end.clear()
        large.began.clear()
        cache.warm(THINGS, after)
        await large.began.wait()
        # It still runs, and nobody waits for it.
        source = Source()
        assert await cache.get(THINGS, "theirs", "a", source.load) == Thing("first")


async def test_what_was_invalidated_while_it_was_warmed_is_not_kept(database: Database) -> None:
    source, warmer = Source(), Warmer()
    warmer.may_end.clear()
    async with open_cache(database) as cache:
        cache.warm(THINGS, warmer)
        await warmer.began.wait()
        async with database.system() as work:
            work.invalidate("ours/t")
        warmer.may_end.set()
        cache.warm(THINGS, warmer)
        await until(lambda: counted(cache).entries == 2)
        assert await cache.get(THINGS, "ours", "1", source.load) != Thing("warm 1")
