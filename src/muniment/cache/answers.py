"""Where an answer comes from: memory, a load that already runs, Redis, or a load of our own."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from time import monotonic, perf_counter, time
from typing import Any

import msgspec

from muniment.cache.flights import Flight, Flights
from muniment.cache.history import History
from muniment.cache.listener import Listener
from muniment.cache.memory import Memory
from muniment.cache.namespace import Namespace
from muniment.cache.shared import SharedStore
from muniment.cache.statistics import NamespaceStatistics

LoadMany = Callable[[Collection[str]], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for: values of one namespace and partition."""

    namespace: Namespace[Any]
    statistics: NamespaceStatistics
    partition: str
    tags: Mapping[str, tuple[str, ...]]
    """By key, complete."""


class Answers:
    """Finds values and remembers them, as far as the history shows them to be fresh."""

    def __init__(
        self, history: History, listener: Listener, memory: Memory, shared: SharedStore | None
    ) -> None:
        self._history = history
        self._listener = listener
        self._memory = memory
        self._shared = shared
        self._flights = Flights(history)

    async def find(
        self, question: Question, wanted: list[str], load_many: LoadMany
    ) -> dict[str, Any]:
        """Return what is there under each key; None where it is known that nothing is."""
        answer: dict[str, Any] = {}
        statistics = question.statistics
        while wanted:
            now = monotonic()
            if not self._listener.trusts(now):
                # Even joining a running load could give what was changed before we asked.
                statistics.bypasses += len(wanted)
                answer.update(await load_many(wanted))
                return answer
            own: list[str] = []
            running: list[tuple[str, Flight]] = []
            for key in wanted:
                name = (question.namespace.name, question.partition, key)
                if (entry := self._memory.find(name, now)) is not None:
                    statistics.memory_hits += 1
                    answer[key] = entry.value
                elif (flight := self._flights.find(name, question.tags[key])) is not None:
                    running.append((key, flight))
                else:
                    own.append(key)
            if own:
                answer.update(await self._fill(question, own, load_many))
            wanted = []
            for key, flight in running:
                await flight.ended.wait()
                if flight.error is not None:
                    raise flight.error
                if flight.values is None:
                    wanted.append(key)  # whoever loaded it was cancelled
                else:
                    statistics.joined += 1
                    answer[key] = flight.values.get(key)
        return answer

    async def _fill(
        self, question: Question, keys: list[str], load_many: LoadMany
    ) -> dict[str, Any]:
        """Take values from Redis and load the others, once for everybody who asks meanwhile."""
        namespace, partition = question.namespace.name, question.partition
        with self._flights.start((namespace, partition, key) for key in keys) as flight:
            answer = await self._read_shared(question, keys)
            missing = [key for key in keys if key not in answer]
            loaded: dict[str, bytes] = {}
            position = self._history.position
            if missing:
                flight.began = self._history.step
                found = await self._load(question, missing, load_many)
                answer.update(found)
                loaded = self.keep(question, found, flight.began)
            flight.values = answer
        if self._shared is not None and loaded and position is not None:
            await self._shared.write(
                question.namespace, partition, loaded, position, question.statistics
            )
        return answer

    async def _load(
        self, question: Question, keys: list[str], load_many: LoadMany
    ) -> dict[str, Any]:
        statistics = question.statistics
        statistics.misses += len(keys)
        start = perf_counter()
        try:
            loaded = await load_many(keys)
        except Exception:
            statistics.failures += 1
            raise
        finally:
            statistics.load_seconds += perf_counter() - start
        return {key: loaded.get(key) for key in keys}

    async def _read_shared(self, question: Question, keys: list[str]) -> dict[str, Any]:
        """Return what Redis has and our history shows to be fresh, and remember it."""
        if self._shared is None or not self._shared.up:
            return {}
        began, namespace = self._history.step, question.namespace
        found = await self._shared.read(namespace, question.partition, keys, question.statistics)
        values: dict[str, Any] = {}
        if not self._listener.trusts(monotonic()):
            return values
        for key, shared in found.items():
            if not self._history.covers(shared.position, question.tags[key]):
                continue
            try:
                values[key] = namespace.decode(shared.value)
            except msgspec.MsgspecError:
                continue
            self.keep(question, {key: values[key]}, began, shared.until - time())
        question.statistics.shared_hits += len(values)
        return values

    def keep(
        self,
        question: Question,
        values: Mapping[str, Any],
        began: int,
        seconds: float = math.inf,
    ) -> dict[str, bytes]:
        """Remember values, except those that were invalidated since they began to be loaded.

        Returns what was remembered, encoded.
        """
        kept: dict[str, bytes] = {}
        now = monotonic()
        if not self._listener.trusts(now):
            return kept
        namespace = question.namespace
        expires = now + min(namespace.seconds, seconds)
        for key, value in values.items():
            tags = question.tags[key]
            if value is None and not namespace.cache_missing:
                continue
            if self._history.is_fresh(began, tags):
                kept[key] = namespace.encode(value)
                self._memory.put(
                    (namespace.name, question.partition, key),
                    value,
                    tags=tags,
                    expires=expires,
                    length=len(kept[key]),
                    statistics=question.statistics,
                )
        return kept
