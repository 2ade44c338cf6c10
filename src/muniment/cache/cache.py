"""The two-level cache of one process: its memory, and Redis behind it where there is one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any, Protocol, TypeVar

import structlog

from muniment.cache.answers import Answers, Question
from muniment.cache.broadcast import Broadcast
from muniment.cache.history import History
from muniment.cache.listener import Listener
from muniment.cache.memory import EVERYTHING, Memory
from muniment.cache.namespace import Namespace
from muniment.cache.redis_link import RedisLink
from muniment.cache.shared import SharedStore
from muniment.cache.statistics import CacheStatistics, NamespaceStatistics
from muniment.cache.warming import Warmer, warm_values

_log = structlog.get_logger(__name__)

T = TypeVar("T")

HEARING_SECONDS = 0.05
"""How long what Redis told may wait for our own connection to tell the same."""

_PARTITION = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TAG = re.compile(r"[A-Za-z0-9_:.-]{1,128}")


class Follower(Protocol):
    """Hears of commits beside the cache."""

    def heard(self, tags: Collection[str]) -> None:
        """Take note of the tags that a commit announced."""
        ...

    def missed(self) -> None:
        """Take note that announcements may have been missed until now."""
        ...


class Cache:
    """Values by namespace, partition and key, fresh in every process once a commit is announced.

    Open it with `open_cache`.
    """

    def __init__(self, dsn: str, memory: Memory, link: RedisLink | None) -> None:
        self._memory = memory
        self._link = link
        self._broadcast = None if link is None else Broadcast(link, self._heard_from_redis)
        self._history = history = History()
        self._warmers: list[tuple[Namespace[Any], Warmer[Any]]] = []
        self._cold = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._statistics = CacheStatistics()
        self._namespaces: dict[str, Namespace[Any]] = {}
        self._followers: list[Follower] = []
        self._listener = Listener(
            dsn, history, on_announced=self._forget, on_restart=self._forget_all
        )
        shared = None if link is None else SharedStore(link)
        self._answers = Answers(history, self._listener, memory, shared)

    async def get(
        self,
        namespace: Namespace[T],
        partition: str,
        key: str,
        load: Callable[[], Awaitable[T | None]],
        *,
        tags: Iterable[str] = (),
    ) -> T | None:
        """Return a value, from memory, from Redis, or by loading it.

        `load` may use the caller's transaction if that has not changed what is loaded. It must
        read from the primary: a replica may not have seen yet what was announced. None is
        kept only if the namespace says so.

        Args:
            namespace: what kind of value.
            partition: whose value: nothing is shared between partitions.
            key: which of the partition's values.
            load: gives the value, or None when there is none. What it raises is raised here
                and for everybody who waits for the same load.
            tags: what invalidates the value, beside ``all`` of its partition.

        Raises:
            ValueError: partition or tags are not well-formed.
        """
        now = monotonic()
        if now < self._listener.trusted_until:  # `trusts`, without the cost of a call
            entry = self._memory.find((namespace.name, partition, key), now)
            if entry is not None:
                entry.statistics.memory_hits += 1
                value: T | None = entry.value
                return value

        async def load_one(keys: Collection[str]) -> Mapping[str, T]:
            value = await load()
            return {} if value is None else dict.fromkeys(keys, value)

        question = self._question(namespace, partition, {key: tuple(tags)})
        found: T | None = (await self._answers.find(question, [key], load_one)).get(key)
        return found

    async def get_many(
        self,
        namespace: Namespace[T],
        partition: str,
        keys: Iterable[str],
        load_many: Callable[[Collection[str]], Awaitable[Mapping[str, T]]],
        *,
        tag_of: Callable[[str], str] | None = None,
    ) -> dict[str, T]:
        """Return those of the values that exist; one round trip and one load for all misses.

        See `get`; `load_many` is given the keys that are missing and `tag_of` names the tag of
        a key.
        """
        wanted = list(dict.fromkeys(keys))
        tags = {key: () if tag_of is None else (tag_of(key),) for key in wanted}
        question = self._question(namespace, partition, tags)
        found = await self._answers.find(question, wanted, load_many)
        return {key: value for key, value in found.items() if value is not None}

    def statistics(self) -> CacheStatistics:
        """Return what was counted until now; a copy, except for the counts by namespace."""
        return replace(
            self._statistics,
            listening=self.listens(),
            redis_up=None if self._link is None else self._link.up.is_set(),
            redis_failures=0 if self._link is None else self._link.failures,
            announcements=self._history.heard,
        )

    def warm(self, namespace: Namespace[T], warmer: Warmer[T]) -> None:
        """Fill a namespace ahead of the first questions, now and whenever all was dropped.

        It runs in the background; that it fails or takes too long is logged and counted.

        Args:
            namespace: what kind of values.
            warmer: gives the values most likely to be asked for; at most `WARM_VALUES` are kept.
        """
        self._warmers.append((namespace, warmer))
        self._cold.set()

    def follow(self, follower: Follower) -> None:
        """Tell somebody else what commits announce, and when some of it may have been missed."""
        follower.missed()
        self._followers.append(follower)

    def listens(self) -> bool:
        """Tell whether nothing that was announced can have been missed at this moment."""
        return self._listener.trusts(monotonic())

    async def committed(self, tags: frozenset[str]) -> None:
        """Forget what a commit of this process made stale, before its unit of work ends.

        It then waits until the other processes have heard the announcement too, so that the next
        request finds it everywhere.
        """
        ping = self._listener.ping_soon()
        self._history.expect(tags, ping)
        self._forget(tags)
        if self._broadcast is not None:
            self._spawn(self._broadcast.publish(tags))
        await self._listener.heard_everywhere()

    async def _heard_from_redis(self, tags: Collection[str]) -> None:
        """Forget what another process published, unless our own connection proves to be well."""
        ping = self._listener.ping_soon()
        if self._listener.trusts(monotonic()) and not await self._listener.answer(
            ping, HEARING_SECONDS
        ):
            self._history.expect(tags, ping)
            self._forget(tags)

    async def _keep_warm(self) -> None:
        while True:
            await self._cold.wait()
            await self._listener.started.wait()
            self._cold.clear()
            for namespace, warmer in tuple(self._warmers):
                began = self._history.step
                try:
                    for warm in await warm_values(warmer):
                        question = self._question(namespace, warm.partition, {warm.key: warm.tags})
                        self._answers.keep(question, {warm.key: warm.value}, began)
                except Exception as error:  # noqa: BLE001 - a warmer is foreign code, and optional
                    self._statistics.warmer_failures += 1
                    _log.warning("the cache could not be warmed", error=repr(error))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Without its listener the cache loads everything; the rest of it is for speed.
            _log.error("a task of the cache ended", exc_info=error)

    def start(self) -> None:
        """Begin to listen, in tasks that `stop` ends."""
        self._spawn(self._listener.listen())
        self._spawn(self._keep_warm())
        if self._link is not None and self._broadcast is not None:
            self._spawn(self._link.watch())
            self._spawn(self._broadcast.listen())

    async def stop(self) -> None:
        """End all tasks."""
        pending = set(self._tasks)
        while pending:
            # Again and again: libraries may swallow a cancellation that comes with an answer.
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=1.0)

    async def wait_until_listening(self, seconds: float) -> bool:
        """Wait until values are cached; tell whether it was in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._listener.started.wait()
        except TimeoutError:
            return False
        return True

    def _question(
        self,
        namespace: Namespace[Any],
        partition: str,
        tags: Mapping[str, tuple[str, ...]],
    ) -> Question:
        if not _PARTITION.fullmatch(partition):
            raise ValueError(f"{partition!r} is not the name of a partition")
        complete: dict[str, tuple[str, ...]] = {}
        for key, names in tags.items():
            for name in names:
                if not _TAG.fullmatch(name):
                    raise ValueError(f"{name!r} is not the name of a tag")
            complete[key] = (*(f"{partition}/{name}" for name in names), f"{partition}/all")
        known = self._namespaces.setdefault(namespace.name, namespace)
        if known is not namespace:
            raise ValueError(f"there are two namespaces with the name {namespace.name}")
        statistics = self._statistics.namespaces.setdefault(namespace.name, NamespaceStatistics())
        return Question(namespace, statistics, partition, complete)

    def _forget(self, tags: Collection[str]) -> None:
        self._memory.drop(tags)
        for follower in self._followers:
            follower.heard(tags)
        if EVERYTHING in tags:
            self._cold.set()

    def _forget_all(self) -> None:
        self._memory.clear()
        for follower in self._followers:
            follower.missed()
        self._statistics.connections += 1
        self._cold.set()
