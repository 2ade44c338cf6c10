"""Limits on what comes in: how many requests one subject may make in any stretch of time.

The counting is ours because the libraries for it look at every subject that they know on each
check (`limits` 5.8: 3 ms at 20,000 subjects, ours 0.01 ms), say what remains only in a second
round trip to Redis, and cannot count for several limits or for none of them.
`benchmarks/limits.py` measures both.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from muniment.cache.limits_memory import MAX_SUBJECTS, MemoryCounters
from muniment.cache.limits_redis import PATIENCE_SECONDS, PAUSE_SECONDS, RedisCounters
from muniment.cache.limits_window import Rate, Verdict, unseen, verdict_of
from muniment.cache.redis import open_redis

__all__ = ["LimitStatistics", "Rate", "RateLimiter", "Verdict", "open_limiter"]


class LimitStatistics(msgspec.Struct, frozen=True):
    """What a limiter has done since its process started."""

    checks: Mapping[str, int]
    """Requests that were counted or refused, by kind of subject."""
    refusals: Mapping[str, int]
    """Requests that were refused, by kind of the subject whose limit was reached."""
    unseen: Mapping[str, int]
    """Requests that were admitted although nobody could count them, by kind of subject."""
    failures: Mapping[str, int]
    """Failures of Redis: `timeout`, `connection` and `refusal`. Far fewer than `unseen`, since
    after one it is left alone for a moment."""
    subjects: int
    """Subjects that this process counts by itself."""


class RateLimiter:
    """Sliding windows, in this process or shared through Redis.

    A subject is what is limited: an organization, an API key, an address. Its kind is a word
    of the program, so that figures by kind are bounded.
    """

    def __init__(self, shared: RedisCounters | None, own: MemoryCounters) -> None:
        """Count in Redis if there is one; `own` counts otherwise, and for guards meanwhile."""
        self._shared = shared
        self._own = own
        self._checks: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._unseen: Counter[str] = Counter()

    @classmethod
    def in_memory(
        cls, *, max_subjects: int = MAX_SUBJECTS, clock: Callable[[], float] = time.monotonic
    ) -> RateLimiter:
        """Make a limiter of one process; `clock` returns seconds that never go back."""
        return cls(None, MemoryCounters(max_subjects=max_subjects, clock=clock))

    async def check(self, kind: str, subject: str, rate: Rate, *, guard: bool = False) -> Verdict:
        """Count a request of a subject if its rate admits it.

        One round trip. When Redis does not answer in time the request is admitted, or with
        `guard`, which is for what protects secrets, this process counts alone meanwhile.
        A refused request is not counted: who waits for `retry_after` is admitted.
        """
        return (await self.check_all(subject, [(kind, subject, rate)], guard=guard))[0]

    async def check_all(
        self, group: str, claims: Sequence[tuple[str, str, Rate]], *, guard: bool = False
    ) -> list[Verdict]:
        """Count a request against several limits: for all of them, or if one refuses for none.

        Args:
            group: what the subjects have in common, as their organization; always the same
                for one subject, and the subject itself where `check` is used on it too.
            claims: the kind, subject and rate of each limit.
            guard: see `check`.

        Returns:
            A verdict for each limit, in the same order.
        """
        verdicts = await self._take(group, claims, 1, guard=guard)
        for (kind, _, _), verdict in zip(claims, verdicts, strict=True):
            self._checks[kind] += 1
            if not verdict.allowed:
                self._refusals[kind] += 1
            elif not verdict.counted:
                self._unseen[kind] += 1
        return verdicts

    async def peek(self, kind: str, subject: str, rate: Rate, *, guard: bool = False) -> Verdict:
        """Say whether a request would be admitted now, and count nothing."""
        return (await self._take(subject, [(kind, subject, rate)], 0, guard=guard))[0]

    async def give_back(self, kind: str, subject: str, rate: Rate, *, guard: bool = False) -> None:
        """Undo one `check`, as for an attempt that succeeded where only failures should count.

        To check first and give back is safe where many try at once; to look first and count
        afterwards is not.
        """
        await self._take(subject, [(kind, subject, rate)], -1, guard=guard)

    async def reset(self, kind: str, subject: str, rate: Rate) -> None:
        """Forget what was counted for a subject."""
        await self._own.forget(kind, subject, rate)
        if self._shared is not None:
            await self._shared.forget(kind, subject, rate)

    def statistics(self) -> LimitStatistics:
        """Return what was counted, refused and missed so far."""
        failures = self._shared.failures if self._shared else {}
        return LimitStatistics(
            checks=dict(self._checks),
            refusals=dict(self._refusals),
            unseen=dict(self._unseen),
            failures={str(how): times for how, times in failures.items()},
            subjects=self._own.subjects,
        )

    async def _take(
        self, group: str, claims: Sequence[tuple[str, str, Rate]], amount: int, *, guard: bool
    ) -> list[Verdict]:
        counts = None
        if self._shared is not None:
            counts = await self._shared.take(group, claims, amount)
        if counts is None and (guard or self._shared is None):
            counts = await self._own.take(group, claims, amount)
        if counts is None:
            return [unseen(rate) for _, _, rate in claims]
        return [verdict_of(rate, found) for (_, _, rate), found in zip(claims, counts, strict=True)]


@asynccontextmanager
async def open_limiter(
    redis_url: str | None,
    *,
    patience: float = PATIENCE_SECONDS,
    pause: float = PAUSE_SECONDS,
) -> AsyncIterator[RateLimiter]:
    """Open the limiter of a process: shared through Redis where there is an address of one.

    Args:
        redis_url: see `open_redis`.
        patience: most seconds that a request waits for Redis.
        pause: seconds for which Redis is left alone after it failed.

    Raises:
        InvalidSetting: the address cannot be used.
    """
    if redis_url is None:
        yield RateLimiter.in_memory()
        return
    async with open_redis(redis_url) as client:
        shared = RedisCounters(client, patience=patience, pause=pause)
        await shared.connect()
        yield RateLimiter(shared, MemoryCounters())
