"""Calls to Redis that nobody has to wait for: bounded, and left out while Redis is away.

One failure is enough to leave Redis alone. From then on it is for a task in the background to
find out when it answers again, with growing pauses and all the time a connection may take; no
request pays for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

import structlog

from muniment.outside_services import outside_service

if TYPE_CHECKING:
    from muniment.cache.redis import RedisClient

_log = structlog.get_logger(__name__)

R = TypeVar("R")

CALL_SECONDS = 0.25
"""Longest wait of a request for Redis."""
_PROBE_SECONDS = 6.0
"""Longest wait of a probe; making a connection may take 5 seconds of it."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_STEADY_SECONDS = 10.0
"""Who fails again sooner than this after a recovery waits longer for the next one."""


class RedisLink:
    """Whether Redis answers, and calls to it."""

    def __init__(self, client: RedisClient) -> None:
        from redis.exceptions import RedisError, ResponseError

        self.client = client
        self.failures = 0
        """Calls that failed or took too long, and probes."""
        self.up = asyncio.Event()
        """Set while Redis answers."""
        self._down = asyncio.Event()
        self._down.set()
        self._trouble = (RedisError, OSError, TimeoutError)
        self._refusal = ResponseError

    async def call(self, command: Callable[[], Awaitable[R]]) -> R | None:
        """Return what a command gives, or None when Redis is away or failed."""
        if not self.up.is_set():
            return None
        try:
            with outside_service("redis"):
                async with asyncio.timeout(CALL_SECONDS):
                    return await command()
        except self._refusal as error:
            # It answers, if only that its memory is full or that it is a replica.
            self.failures += 1
            _log.warning("Redis refused a command of the cache", error=str(error))
        except self._trouble as error:
            self.failures += 1
            if self.up.is_set():
                _log.warning("Redis does not answer; the cache does without", error=repr(error))
            self.up.clear()
            self._down.set()
        return None

    async def watch(self) -> None:
        """Find out when Redis answers, whenever it did not, until cancelled."""
        pause = 0.0
        recovered = float("-inf")
        while True:
            await self._down.wait()
            if monotonic() - recovered > _STEADY_SECONDS:
                pause = 0.0
            await asyncio.sleep(pause)
            pause = min(max(pause * 2, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    await self.client.ping()
            except self._trouble:
                self.failures += 1
                continue
            recovered = monotonic()
            self._down.clear()
            self.up.set()
