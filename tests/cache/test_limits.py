"""What limits admit, the same in memory and with a real Redis (F32)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.cache.limits import Rate, RateLimiter, open_limiter
from muniment.cache.limits_memory import MemoryCounters
from tests.redis_server import RedisServer, running_redis

MINUTE = Rate(5, per=60)


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "redis", "sentinel", "cluster"])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[RateLimiter]:
    """A limiter of each kind."""
    if request.param == "memory":
        yield RateLimiter.in_memory()
        return
    name = "redis_cluster" if request.param == "cluster" else "redis_server"
    server: RedisServer = request.getfixturevalue(name)
    if request.param == "sentinel":
        with running_redis(sentinel_of=server.port) as sentinel:
            url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main"
            async with open_limiter(url, patience=5) as limiter:
                yield limiter
        return
    url = server.url if request.param == "redis" else f"redis+cluster://127.0.0.1:{server.port}"
    # Patient, because these tests are about what is counted on a machine that is busy.
    async with open_limiter(url, patience=5) as limiter:
        yield limiter


@pytest.fixture
def subject() -> str:
    return uuid4().hex


async def test_admits_as_many_as_the_rate_says(limiter: RateLimiter, subject: str) -> None:
    verdicts = [await limiter.check("test", subject, MINUTE) for _ in range(5)]
    assert [verdict.remaining for verdict in verdicts] == [4, 3, 2, 1, 0]
    assert all(verdict.allowed and verdict.counted for verdict in verdicts)
    assert all(0 < verdict.reset_after <= 60 for verdict in verdicts[:-1])
    refused = await limiter.check("test", subject, MINUTE)
    assert (refused.allowed, refused.limit, refused.per, refused.remaining) == (False, 5, 60, 0)
    assert 0 < refused.retry_after == refused.reset_after <= 120
    assert (await limiter.check("test", uuid4().hex, MINUTE)).allowed
    assert (await limiter.check("other", subject, MINUTE)).allowed


async def test_admits_exactly_the_rate_at_once(limiter: RateLimiter, subject: str) -> None:
    rate = Rate(100, per=600)
    verdicts = await asyncio.gather(*(limiter.check("test", subject, rate) for _ in range(200)))
    assert sum(verdict.allowed for verdict in verdicts) == 100
    assert limiter.statistics().checks == {"test": 200}
    assert limiter.statistics().refusals == {"test": 100}
    assert limiter.statistics().unseen == limiter.statistics().failures == {}


async def test_looks_without_counting(limiter: RateLimiter, subject: str) -> None:
    for _ in range(10):
        assert (await limiter.peek("test", subject, MINUTE)).remaining == 5
    for _ in range(5):
        await limiter.check("test", subject, MINUTE)
    assert not (await limiter.peek("test", subject, MINUTE)).allowed


async def test_gives_back(limiter: RateLimiter, subject: str) -> None:
    for _ in range(20):
        assert (await limiter.check("test", subject, MINUTE)).allowed
        await limiter.give_back("test", subject, MINUTE)
    await limiter.give_back("test", subject, MINUTE)
    assert (await limiter.peek("test", subject, MINUTE)).remaining == 5


async def test_forgets(limiter: RateLimiter, subject: str) -> None:
    for _ in range(6):
        await limiter.check("test", subject, MINUTE)
    await limiter.reset("test", subject, MINUTE)
    assert (await limiter.peek("test", subject, MINUTE)).remaining == 5


async def test_counts_for_all_limits_or_for_none(limiter: RateLimiter, subject: str) -> None:
    key = uuid4().hex
    claims = [("organization", subject, MINUTE), ("key", key, Rate(2, per=60))]
    for left in (1, 0):
        organization, of_key = await limiter.check_all(subject, claims)
        assert organization.allowed
        assert of_key.allowed
        assert of_key.remaining == left
    organization, of_key = await limiter.check_all(subject, claims)
    assert organization.allowed
    assert not of_key.allowed
    # The refused request took nothing from the organization, and it is the same count as when
    # it is checked alone.
    assert (await limiter.peek("organization", subject, MINUTE)).remaining == 3
    assert limiter.statistics().refusals == {"key": 1}


async def test_a_higher_limit_takes_effect_at_once(limiter: RateLimiter, subject: str) -> None:
    for _ in range(6):
        await limiter.check("test", subject, MINUTE)
    assert (await limiter.check("test", subject, Rate(8, per=60))).remaining == 2
    lower = await limiter.check("test", subject, Rate(2, per=60))
    assert (lower.allowed, lower.remaining) == (False, 0)
    assert 0 < lower.retry_after <= 120


async def test_no_double_burst_at_the_border_of_two_windows() -> None:
    clock = Clock(600.0)
    limiter, rate = RateLimiter.in_memory(clock=clock), Rate(100, per=60)

    async def burst() -> int:
        return sum([(await limiter.check("test", "one", rate)).allowed for _ in range(150)])

    clock.now += 59.9
    assert await burst() == 100
    clock.now += 0.2
    assert await burst() == 0
    # A tenth of the next window on, a tenth of the limit is free again.
    clock.now += 6
    assert await burst() == 10
    clock.now += 120
    assert await burst() == 100


@given(
    limit=st.integers(1, 30),
    per=st.sampled_from([0.5, 1.0, 60.0, 900.0]),
    gaps=st.lists(st.floats(0, 1.5), max_size=60),
)
async def test_is_admitted_after_the_wait_and_not_before(
    limit: int, per: float, gaps: list[float]
) -> None:
    clock = Clock(1_000 * per)
    limiter, rate = RateLimiter.in_memory(clock=clock), Rate(limit, per)
    for gap in gaps:
        clock.now += gap * per / limit
        verdict = await limiter.check("test", "one", rate)
        assert verdict.allowed or verdict.retry_after > 0
        assert verdict.remaining <= limit
    for _ in range(limit + 1):
        verdict = await limiter.check("test", "one", rate)
    assert not verdict.allowed
    assert verdict.retry_after <= 2 * per
    clock.now += verdict.retry_after * 0.99
    assert not (await limiter.peek("test", "one", rate)).allowed
    clock.now += verdict.retry_after * 0.01 + per * 1e-6
    assert (await limiter.check("test", "one", rate)).allowed


async def test_a_million_addresses_do_not_fill_the_memory() -> None:
    clock = Clock(9_000.0)
    counters = MemoryCounters(clock=clock)
    limiter, rate = RateLimiter(None, counters), Rate(30, per=900)
    organization = Rate(3, per=900)
    for _ in range(3):
        await limiter.check("organization", "ours", organization)
    began = time.perf_counter()
    for number in range(1_000_000):
        await counters.take("", [("address", str(number), rate)], 1)
    each = (time.perf_counter() - began) / 1_000_000
    assert limiter.statistics().subjects == 50_001
    assert each < 0.0002
    # The newest are still known, and the flood made no organization forgotten.
    assert (await limiter.peek("address", "999999", rate)).remaining == 29
    assert not (await limiter.check("organization", "ours", organization)).allowed
    # What has expired goes a little with each request.
    clock.now += 1_800
    for number in range(25_001):
        await limiter.check("address", str(number % 2_000), rate)
    assert limiter.statistics().subjects == 2_001


@pytest.mark.parametrize(("limit", "per"), [(0, 60), (-1, 60), (5, 0), (5, float("inf"))])
def test_refuses_a_rate_without_sense(limit: int, per: float) -> None:
    with pytest.raises(ValueError, match="at least one request"):
        Rate(limit, per)
