"""Limits that several processes share, and what happens when Redis fails (F32)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from muniment.cache.limits import Rate, RateLimiter, open_limiter
from muniment.cache.redis import open_redis
from tests.redis_server import RedisServer, running_cluster, running_redis
from tests.waiting import until

MINUTE = Rate(5, per=60)
PROCESS = """
import asyncio, sys
from muniment.cache.limits import Rate, open_limiter

async def main(url, subject):
    async with open_limiter(url, patience=10) as limiter:
        rate = Rate(100, per=3600)
        verdicts = [limiter.check("test", subject, rate) for _ in range(100)]
        print(sum(verdict.allowed for verdict in await asyncio.gather(*verdicts)))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def subject() -> str:
    return uuid4().hex


@pytest.fixture
async def limiter(own_redis: RedisServer) -> AsyncIterator[RateLimiter]:
    """A limiter on a server of its own, which has counted once."""
    async with open_limiter(own_redis.url, pause=0.2) as limiter:
        await until(lambda: counts(limiter))
        yield limiter


async def counts(limiter: RateLimiter) -> bool:
    return (await limiter.check("warm", uuid4().hex, MINUTE)).counted


async def test_processes_share_a_limit(redis_server: RedisServer, subject: str) -> None:
    rate = Rate(100, per=600)
    async with (
        open_limiter(redis_server.url, patience=5) as one,
        open_limiter(redis_server.url, patience=5) as other,
    ):
        verdicts = await asyncio.gather(
            *(limiter.check("test", subject, rate) for limiter in [one, other] * 100)
        )
    assert sum(verdict.allowed for verdict in verdicts) == 100


async def test_real_processes_share_a_limit(redis_server: RedisServer, subject: str) -> None:
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROCESS, redis_server.url, subject, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    answers = [(await process.communicate())[0] for process in running]
    assert sum(map(int, answers)) == 100


async def test_slides_with_the_clock_of_the_server(redis_server: RedisServer, subject: str) -> None:
    rate = Rate(20, per=2)

    async def burst() -> int:
        verdicts = [await limiter.check("test", subject, rate) for _ in range(25)]
        assert verdicts[-1].retry_after > 0
        return sum(verdict.allowed for verdict in verdicts)

    async with (
        open_limiter(redis_server.url, patience=5) as limiter,
        open_redis(redis_server.url) as client,
    ):

        async def place() -> float:
            seconds, microseconds = await client.time()
            return (int(seconds) + int(microseconds) / 1e6) % rate.per

        async def late() -> bool:
            return await place() > 1.8

        async def early() -> bool:
            return await place() < 0.5

        await until(late)
        assert await burst() == 20
        await until(early)
        # A window that began anew would admit 20 again.
        assert await burst() <= 5


async def test_a_key_expires(redis_server: RedisServer, subject: str) -> None:
    async with open_limiter(redis_server.url, patience=5) as limiter:
        await limiter.check("test", subject, MINUTE)
    async with open_redis(redis_server.url) as client:
        left = await client.pttl(f"muniment:limit:{{{subject}}}:test:{subject}:60")
    assert 60_000 <= left <= 120_000


async def test_survives_that_the_server_forgets_the_script(
    limiter: RateLimiter, own_redis: RedisServer, subject: str
) -> None:
    own_redis.command("SCRIPT", "FLUSH")
    verdict = await limiter.check("test", subject, MINUTE)
    assert (verdict.counted, verdict.remaining) == (True, 4)


async def test_opens_without_redis_and_closes_again(
    limiter: RateLimiter, own_redis: RedisServer, subject: str
) -> None:
    for _ in range(6):
        verdict = await limiter.check("test", subject, MINUTE)
    assert not verdict.allowed
    own_redis.kill()
    began = time.monotonic()
    verdicts = await asyncio.gather(*(limiter.check("test", subject, MINUTE) for _ in range(100)))
    assert time.monotonic() - began < 1
    assert all(verdict.allowed and not verdict.counted for verdict in verdicts)
    figures = limiter.statistics()
    assert figures.unseen == {"test": 100}
    assert figures.failures["connection"] >= 1

    own_redis.start()
    await until(lambda: counts(limiter))
    for _ in range(6):
        verdict = await limiter.check("test", subject, MINUTE)
    assert not verdict.allowed


async def test_does_not_wait_for_a_frozen_redis(
    limiter: RateLimiter, own_redis: RedisServer, subject: str
) -> None:
    await limiter.check("test", subject, MINUTE)
    own_redis.freeze()
    began = time.monotonic()
    assert (await limiter.check("test", subject, MINUTE)).allowed
    assert 0.09 < time.monotonic() - began < 1
    # Nobody waits while it is left alone.
    began = time.monotonic()
    for _ in range(20):
        assert not (await limiter.check("test", subject, MINUTE)).counted
    assert time.monotonic() - began < 0.1
    assert limiter.statistics().failures == {"timeout": 1}

    own_redis.thaw()
    await until(lambda: counts(limiter))
    # Late answers to requests that were given up on are not taken for those of others.
    other = uuid4().hex
    verdicts = [await limiter.check("test", other, Rate(50, per=60)) for _ in range(20)]
    assert [verdict.remaining for verdict in verdicts] == list(range(49, 29, -1))


async def test_a_guard_counts_alone_meanwhile(
    limiter: RateLimiter, own_redis: RedisServer, subject: str
) -> None:
    own_redis.kill()
    verdicts = [await limiter.check("test", subject, MINUTE, guard=True) for _ in range(10)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False] * 5
    assert limiter.statistics().unseen == {}
    await limiter.give_back("test", subject, MINUTE, guard=True)
    assert (await limiter.peek("test", subject, MINUTE, guard=True)).remaining == 1
    await limiter.reset("test", subject, MINUTE)
    assert (await limiter.peek("test", subject, MINUTE, guard=True)).remaining == 5


async def test_opens_when_redis_refuses(
    limiter: RateLimiter, own_redis: RedisServer, subject: str
) -> None:
    own_redis.command("CONFIG", "SET", "maxmemory", "1")
    verdict = await limiter.check("test", subject, MINUTE)
    assert verdict.allowed
    assert not verdict.counted
    assert limiter.statistics().failures == {"refusal": 1}


async def test_a_request_that_is_given_up_harms_no_other(
    limiter: RateLimiter, subject: str
) -> None:
    rate = Rate(1_000, per=600)
    for number in range(50):
        asked = asyncio.create_task(limiter.check("test", subject, rate))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    other = [await limiter.check("test", uuid4().hex, rate) for _ in range(20)]
    assert {verdict.remaining for verdict in other} == {999}
    assert limiter.statistics().failures == {}


@pytest.mark.parametrize("kind", ["redis", "sentinel", "cluster"])
async def test_redis_fails_and_returns_under_load(kind: str, subject: str) -> None:
    with server_of(kind) as (server, url):
        async with open_limiter(url, pause=0.1) as limiter:
            await until(lambda: counts(limiter))
            stop = asyncio.Event()
            longest = 0.0

            async def load(name: str) -> None:
                nonlocal longest
                while not stop.is_set():
                    began = time.monotonic()
                    await limiter.check("load", name, Rate(1_000_000, per=60))
                    longest = max(longest, time.monotonic() - began)
                    await asyncio.sleep(0)

            tasks = [asyncio.create_task(load(f"{subject}-{number}")) for number in range(40)]
            server.kill()
            await until(lambda: missed(limiter))
            server.start()
            await until(lambda: counts(limiter))
            stop.set()
            await asyncio.gather(*tasks)
        assert longest < 2
        assert limiter.statistics().failures


async def missed(limiter: RateLimiter) -> bool:
    return limiter.statistics().unseen.get("load", 0) > 100


@contextmanager
def server_of(kind: str) -> Iterator[tuple[RedisServer, str]]:
    """Run what a limiter can share its counts through; yields the server that may be killed."""
    if kind == "cluster":
        with running_cluster() as server:
            yield server, f"redis+cluster://127.0.0.1:{server.port}"
        return
    with running_redis() as server:
        if kind == "redis":
            yield server, server.url
            return
        with running_redis(sentinel_of=server.port) as sentinel:
            yield server, f"redis+sentinel://127.0.0.1:{sentinel.port}/main"


async def test_opens_without_a_cluster(subject: str) -> None:
    # Nothing listens on port 1: the cluster can not even be discovered.
    async with open_limiter("redis+cluster://127.0.0.1:1") as limiter:
        verdict = await limiter.check("test", subject, MINUTE)
        assert (verdict.allowed, verdict.counted) == (True, False)
        assert limiter.statistics().failures == {"connection": 1}


async def test_opens_without_a_sentinel(subject: str) -> None:
    async with open_limiter("redis+sentinel://127.0.0.1:1/main") as limiter:
        verdict = await limiter.check("test", subject, MINUTE)
        assert (verdict.allowed, verdict.counted) == (True, False)
        assert limiter.statistics().failures == {"connection": 1}
