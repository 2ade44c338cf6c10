"""Connections to real servers of every kind, and addresses that cannot be used."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from redis.asyncio import RedisCluster, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from muniment.cache.redis import open_redis
from muniment.settings import InvalidSetting
from tests.redis_server import RedisServer, running_redis
from tests.waiting import until


async def eventually(ask: Callable[..., Awaitable[object]], *arguments: str) -> object:
    deadline = time.monotonic() + 20
    while True:
        try:
            return await ask(*arguments)
        except RedisConnectionError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def works(url: str) -> None:
    async with open_redis(url) as client:
        assert await client.set("muniment:test", b"\x00\xff", px=60_000)
        assert await client.get("muniment:test") == b"\x00\xff"
        answers = await asyncio.gather(*(client.incr(f"muniment:{n % 7}") for n in range(300)))
        assert len(answers) == 300
        await client.delete("muniment:test", *(f"muniment:{n}" for n in range(7)))


async def test_one_server(redis_server: RedisServer) -> None:
    await works(redis_server.url)
    await works(f"{redis_server.url}/3")


async def test_a_unix_socket(redis_server: RedisServer) -> None:
    await works(redis_server.socket_url)
    await works(f"{redis_server.socket_url}?db=2")


async def test_a_cluster(redis_cluster: RedisServer) -> None:
    await works(f"redis+cluster://127.0.0.1:1,127.0.0.1:{redis_cluster.port}")


async def test_behind_sentinel(redis_server: RedisServer) -> None:
    with running_redis(sentinel_of=redis_server.port) as sentinel:
        # The first Sentinel of the list is not there: the next one is asked.
        await works(f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/main/4")


async def test_a_password(own_redis: RedisServer) -> None:
    own_redis.command("CONFIG", "SET", "requirepass", "p@ss")
    await works(f"redis://:p%40ss@127.0.0.1:{own_redis.port}")
    with running_redis(sentinel_of=own_redis.port) as sentinel:
        sentinel.command("SENTINEL", "SET", "main", "auth-pass", "p@ss")
        await works(f"redis+sentinel://:p%40ss@127.0.0.1:{sentinel.port}/main")


def leads(server: RedisServer) -> bool:
    """Ask whether a server is the master; who becomes it ends its connections."""
    with suppress(ConnectionError):
        return b"role:master" in server.command("INFO", "replication")
    return False


async def test_follows_a_failover() -> None:
    with (
        running_redis() as first,
        running_redis("--replicaof", "127.0.0.1", str(first.port)) as second,
        running_redis(sentinel_of=first.port) as sentinel,
    ):
        await until(lambda: b"slave0:" in first.command("INFO", "replication"))
        await until(lambda: b"num-slaves\r\n$1\r\n1" in sentinel.command("SENTINEL", "MASTERS"))
        async with open_redis(f"redis+sentinel://127.0.0.1:{sentinel.port}/main") as client:
            await client.set("muniment:test", "before")
            first.kill()
            await until(lambda: leads(second))
            assert await eventually(client.set, "muniment:test", "after")
        assert second.command("GET", "muniment:test").endswith(b"after\r\n")


async def test_finds_a_restarted_server(own_redis: RedisServer) -> None:
    async with open_redis(own_redis.url) as client:
        await asyncio.gather(*(client.ping() for _ in range(20)))
        own_redis.restart()
        assert all(await asyncio.gather(*(client.ping() for _ in range(20))))


async def test_does_not_wait_long_for_an_answer(own_redis: RedisServer) -> None:
    async with open_redis(own_redis.url) as client:
        await client.ping()
        own_redis.freeze()
        began = time.monotonic()
        with pytest.raises(Exception, match="Timeout"):
            await client.get("muniment:test")
        assert time.monotonic() - began < 5
        own_redis.thaw()
        assert await client.ping()


@pytest.mark.parametrize(
    "url", ["rediss://localhost", "rediss+sentinel://localhost/main", "rediss+cluster://localhost"]
)
async def test_speaks_tls_where_the_address_says_so(url: str) -> None:
    async with open_redis(url) as client:
        if isinstance(client, RedisCluster):
            kind = next(iter(client.nodes_manager.startup_nodes.values())).connection_class
        else:
            kind = client.connection_pool.connection_class
        assert issubclass(kind, SSLConnection)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "known schemes"),
        ("localhost:6379", "known schemes"),
        ("http://localhost", "known schemes"),
        ("redis://", "names no host"),
        ("redis://localhost/cache", "must be a number, not 'cache'"),
        ("redis://localhost:99999", "Port"),
        ("redis://localhost?colour=red", "colour"),
        ("redis://localhost?db=many", "db"),
        ("redis+sentinel://localhost:26379", "names no service"),
        ("redis+sentinel:///main", "names no host"),
        ("redis+sentinel://localhost/main/x", "must be a number"),
        ("redis+sentinel://localhost/main?x=1", "option x"),
        ("redis+cluster://localhost,", "names no host"),
        ("redis+cluster://localhost/1", "neither databases nor options"),
    ],
)
async def test_says_what_is_wrong_with_an_address(url: str, reason: str) -> None:
    with pytest.raises(InvalidSetting, match=reason) as raised:
        async with open_redis(url):
            pass
    assert raised.value.detail.startswith("MUNIMENT_REDIS_URL cannot be used (")


async def test_does_not_repeat_a_password() -> None:
    with pytest.raises(InvalidSetting) as raised:
        async with open_redis("redis://user:hunter2@localhost/cache"):
            pass
    assert "hunter2" not in raised.value.detail


async def test_says_how_to_install_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(InvalidSetting, match=r"pip install 'muniment\[redis\]'"):
        async with open_redis("redis://localhost"):
            pass
