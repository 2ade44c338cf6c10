"""The first level: least recently used values of one process, bounded in number and bytes.

The package cachetools bounds one measure and would leave the index from tags to values stale
on eviction, so this is an ordered dictionary of our own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from muniment.cache.statistics import NamespaceStatistics

Key = tuple[str, str, str]
"""Namespace, partition and key."""

EVERYTHING = "everything/all"
"""The tag that every value carries."""

_ALLOWANCE = 600
"""Bytes that an entry takes beside its encoded value: key, tags, places in dictionaries."""


@dataclass(slots=True)
class Entry:
    """A value in memory."""

    value: Any
    tags: tuple[str, ...]
    expires: float
    """On the clock `time.monotonic`."""
    size: int
    statistics: NamespaceStatistics


class Memory:
    """Values by key, with an index by tag; every operation takes constant or listed time."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._tagged: dict[str, set[Key]] = {}
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """The size of all values, as the bound counts it."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: Key, now: float) -> Entry | None:
        """Return a value that has not expired, and note that it was used."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires <= now:
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(
        self,
        key: Key,
        value: Any,
        *,
        tags: tuple[str, ...],
        expires: float,
        length: int,
        statistics: NamespaceStatistics,
    ) -> None:
        """Keep a value of an encoded length, and let the longest unused go if there is no room.

        One that would take more than a quarter of all bytes is not kept.
        """
        if key in self._entries:
            self._remove(key)
        size = length + _ALLOWANCE
        if size * 4 > self._max_bytes:
            return
        self._entries[key] = Entry(value, tags, expires, size, statistics)
        for tag in tags:
            self._tagged.setdefault(tag, set()).add(key)
        self._bytes += size
        statistics.entries += 1
        statistics.bytes += size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            oldest = next(iter(self._entries))
            self._remove(oldest).statistics.evictions += 1

    def drop(self, tags: Iterable[str]) -> None:
        """Forget the values that carry any of the tags."""
        for tag in tags:
            if tag == EVERYTHING:
                self.clear()
                return
            for key in tuple(self._tagged.get(tag, ())):
                self._remove(key).statistics.invalidations += 1

    def clear(self) -> None:
        """Forget everything."""
        for entry in self._entries.values():
            entry.statistics.entries -= 1
            entry.statistics.bytes -= entry.size
            entry.statistics.invalidations += 1
        self._entries.clear()
        self._tagged.clear()
        self._bytes = 0

    def _remove(self, key: Key) -> Entry:
        entry = self._entries.pop(key)
        for tag in entry.tags:
            keys = self._tagged[tag]
            keys.discard(key)
            if not keys:
                del self._tagged[tag]
        self._bytes -= entry.size
        entry.statistics.entries -= 1
        entry.statistics.bytes -= entry.size
        return entry
