"""Counts of requests in Redis, shared by all processes; a Redis that fails is done without."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import structlog

from muniment.cache.limits_window import Counts, Rate
from muniment.cache.redis import ANSWER_SECONDS, redis_failures
from muniment.outside_services import outside_service

if TYPE_CHECKING:
    from muniment.cache.redis import RedisClient

PATIENCE_SECONDS = 0.1
"""Longest that a request waits for Redis to count it."""
PAUSE_SECONDS = 1.0
"""How long nobody asks Redis after it failed; then one request tries."""
MAX_CONCURRENT = 32
"""Most requests that ask at a time: more would not be answered sooner."""

Failure = Literal["timeout", "connection", "refusal"]

_log = structlog.get_logger()

# Counts one request for several subjects, or for none of them, in one round trip. Windows are
# aligned to the server's clock, so the clocks of the processes need not agree. A key holds the
# number of the window (w), the count in it (c) and in the one before (p), and expires when both
# have faded.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local amount = tonumber(ARGV[1])
local all, found, answer = true, {}, {}
for i, key in ipairs(KEYS) do
  local limit, period = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local window = math.floor(now / period)
  local elapsed = now - window * period
  local seen = redis.call('HMGET', key, 'w', 'c', 'p')
  local current, previous = 0, 0
  if seen[1] then
    local age = window - tonumber(seen[1])
    if age <= 0 then
      current, previous = tonumber(seen[2]), tonumber(seen[3])
    elseif age == 1 then
      previous = tonumber(seen[2])
    end
  end
  local admitted = previous * (period - elapsed) / period + current + 1 <= limit
  all = all and admitted
  found[i] = {admitted, previous, current, elapsed, window, period}
end
local writes = amount < 0 or (amount > 0 and all)
for i, key in ipairs(KEYS) do
  local admitted, previous, current, elapsed, window, period = unpack(found[i])
  if writes then
    current = current + amount
    if current < 0 then
      current, previous = 0, math.max(0, previous - 1)
    end
    redis.call('HSET', key, 'w', window, 'c', current, 'p', previous)
    redis.call('PEXPIRE', key, 2 * period - elapsed)
  end
  for _, value in ipairs({admitted and 1 or 0, previous, current, elapsed}) do
    answer[#answer + 1] = value
  end
end
return answer
"""


class RedisCounters:
    """Sliding windows that all processes share."""

    def __init__(
        self,
        client: RedisClient,
        *,
        patience: float = PATIENCE_SECONDS,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        """Use a client that somebody else closes; waits are in seconds."""
        self._client = client
        self._script: Any = client.register_script(_SCRIPT)
        self._patience = patience
        self._pause = pause
        self._turns = asyncio.Semaphore(MAX_CONCURRENT)
        self._paused_until = 0.0
        self._failing = False
        self.failures: Counter[Failure] = Counter()
        """How often Redis failed, by what happened."""

    async def connect(self) -> None:
        """Connect and load the script, so that the first requests need not wait for that.

        Takes as long as an answer may, and leaves it to the requests to try again.
        """
        await self._ask(self._client.script_load, _SCRIPT, patience=ANSWER_SECONDS)

    async def take(
        self, group: str, claims: Sequence[tuple[str, str, Rate]], amount: int
    ) -> list[Counts] | None:
        """Count `amount` (1, 0 to only ask, -1 to give back) for all claims, or for none.

        A claim is a kind, a subject and a rate; those of one group are on one node of a
        cluster. Returns a count for each in the same order, or None when Redis does not
        answer.
        """
        keys = [_key(group, *claim) for claim in claims]
        arguments = [amount]
        for _, _, rate in claims:
            arguments += (rate.limit, int(rate.per * 1000))
        numbers = await self._ask(self._script, keys, arguments)
        if numbers is None:
            return None
        return [
            Counts(bool(admitted), previous, current, elapsed / 1000)
            for admitted, previous, current, elapsed in zip(*[iter(numbers)] * 4, strict=True)
        ]

    async def forget(self, kind: str, subject: str, rate: Rate) -> None:
        """Forget what was counted for a subject; without Redis, it fades by itself."""
        await self._ask(self._client.delete, _key(subject, kind, subject, rate))

    async def _ask(self, command: Any, *arguments: Any, patience: float | None = None) -> Any:
        """Return Redis' answer, or None when it failed now or a moment ago."""
        from redis.exceptions import ResponseError
        from redis.exceptions import TimeoutError as TimedOut

        # Waiting for one's turn is not Redis' fault, so the clock runs from here.
        async with self._turns:
            began = time.monotonic()
            if self._failing:
                if began < self._paused_until:
                    return None
                # This request tries whether Redis is back; the others go on without it.
                self._paused_until = began + self._pause
            try:
                with outside_service("redis"):
                    async with asyncio.timeout(patience or self._patience):
                        answer = await command(*arguments)
            except (TimeoutError, TimedOut):
                late = time.monotonic() - began > 1.5 * (patience or self._patience)
                self._failed("timeout", pause=not late)
            except ResponseError as error:
                self._failed("refusal", str(error))
            except redis_failures() as error:
                self._failed("connection", repr(error))
            else:
                if self._failing:
                    self._failing = False
                    _log.info("limits_redis_recovered")
                return answer
        return None

    def _failed(self, how: Failure, reason: str | None = None, *, pause: bool = True) -> None:
        self.failures[how] += 1
        if not pause:
            # The wait ended late, so it was this process that stood still: Redis may be well.
            return
        self._paused_until = time.monotonic() + self._pause
        if not self._failing:
            self._failing = True
            _log.warning("limits_redis_failed", how=how, reason=reason)


def _key(group: str, kind: str, subject: str, rate: Rate) -> str:
    # The part in braces decides on which node of a cluster a key is.
    return f"muniment:limit:{{{group}}}:{kind}:{subject}:{rate.per:g}"
