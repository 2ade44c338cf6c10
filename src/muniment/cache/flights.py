"""One load per key at a time: whoever comes while it runs waits for its outcome.

The load runs in the task of whoever asked first, so it may use that caller's transaction and
time limit. When that caller is cancelled the others do not fail: one of them loads instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from muniment.cache.history import History
from muniment.cache.memory import Key


class Flight:
    """A running load of one or several keys."""

    def __init__(self, keys: tuple[Key, ...], began: int) -> None:
        self.keys = keys
        self.began = began
        """The step of the history that the values are at least as recent as."""
        self.ended = asyncio.Event()
        self.values: Mapping[str, Any] | None = None
        """By the last part of the key; None when the load failed or was cancelled."""
        self.error: Exception | None = None
        """Why it failed; None when it was cancelled."""


class Flights:
    """The loads that run in this process."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._flights: dict[Key, Flight] = {}

    def find(self, key: Key, tags: tuple[str, ...]) -> Flight | None:
        """Return the load of a key, unless it may have missed an invalidation since it began."""
        flight = self._flights.get(key)
        if flight is None or not self._history.is_fresh(flight.began, tags):
            return None
        return flight

    @contextmanager
    def start(self, keys: Iterable[Key]) -> Iterator[Flight]:
        """Let others wait for what the body puts into `values`, and fail as it fails."""
        flight = Flight(tuple(keys), self._history.step)
        for key in flight.keys:
            self._flights[key] = flight
        try:
            yield flight
        except Exception as error:
            flight.error = error
            raise
        finally:
            for key in flight.keys:
                if self._flights.get(key) is flight:
                    del self._flights[key]
            flight.ended.set()
