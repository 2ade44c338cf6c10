"""Values to cache, what stands behind them, and conditions to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import timedelta

import msgspec

from muniment.cache import Cache, Namespace, NamespaceStatistics


class Thing(msgspec.Struct, frozen=True):
    name: str


THINGS = Namespace("things", Thing)
ABSENCES = Namespace("absences", Thing, cache_missing=True)
BRIEF = Namespace("brief", Thing, ttl=timedelta(milliseconds=30))
TEXTS = Namespace("texts", str)


class Source:
    """What stands behind a cache; a load can be held back to let other things happen first."""

    def __init__(self, name: str = "first") -> None:
        self.value: Thing | None = Thing(name)
        self.loads = 0
        self.asked_for: list[tuple[str, ...]] = []
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.error: Exception | None = None

    async def has_begun(self) -> None:
        """Wait until somebody loads."""
        await asyncio.wait_for(self.began.wait(), 10)

    async def load(self) -> Thing | None:
        self.loads += 1
        seen = self.value
        self.began.set()
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return seen

    async def load_many(self, keys: Collection[str]) -> Mapping[str, Thing]:
        self.asked_for.append(tuple(keys))
        self.began.set()
        await self.may_end.wait()
        return {key: Thing(key) for key in keys if not key.startswith("absent")}


def counted(cache: Cache, name: str = "things") -> NamespaceStatistics:
    """Return what a cache counted for a namespace."""
    return cache.statistics().namespaces.get(name, NamespaceStatistics())
