"""Two processes of one installation: what one commits, the other reads (F19, F23)."""

from __future__ import annotations

import asyncio
import time

import pytest

from muniment.cache import open_cache
from muniment.db import Database, TenantScope
from tests.cache.neighbour import name_of, neighbour, rename
from tests.conftest import Clone
from tests.redis_server import RedisServer

ROUNDS = 1000
FRESH_SECONDS = 0.05


@pytest.mark.parametrize("with_redis", [False, True], ids=["postgres", "redis"])
async def test_what_one_process_commits_the_other_reads_within_50_ms(
    database: Database,
    scope: TenantScope,
    clone: Clone,
    redis_server: RedisServer,
    with_redis: bool,
) -> None:
    redis_url = redis_server.url if with_redis else None
    target = clone.installation
    async with (
        open_cache(database, redis_url=redis_url) as cache,
        neighbour(target.app_dsn, target.operator_dsn, scope, redis_url) as other,
    ):
        assert await cache.wait_until_listening(10)
        for number in range(ROUNDS):
            await rename(database, scope, f"name {number}")
            committed = time.monotonic()
            assert await name_of(cache, database, scope) == f"name {number}"
            while True:
                asked = time.monotonic()
                if await other.ask("read") == f"name {number}":
                    break
                assert asked - committed < FRESH_SECONDS
                await asyncio.sleep(0.001)
            # Without this the other one would never serve from memory.
            assert await other.ask("read") == f"name {number}"
        counted = (await other.statistics())["namespaces"]["names"]
    assert counted["memory_hits"] >= 0.9 * ROUNDS


async def test_a_process_that_commits_reads_its_own_writes(
    database: Database, scope: TenantScope
) -> None:
    async with open_cache(database) as cache:
        for number in range(200):
            await rename(database, scope, f"name {number}")
            assert await name_of(cache, database, scope) == f"name {number}"
