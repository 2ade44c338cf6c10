"""The listening connection: killed, frozen, never there. What was not heard is not served (F18)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.rows import scalar_row

from muniment.cache import open_cache
from muniment.cache.listener import LEASE_SECONDS
from muniment.db import Database, TenantScope
from tests.cache.neighbour import neighbour, rename
from tests.cache.things import THINGS, Source, Thing, counted
from tests.conftest import Clone
from tests.redis_server import RedisServer
from tests.waiting import until

SOON_SECONDS = 1.0
"""What was missed would stay for minutes; what is on its way on a busy machine comes sooner."""
LISTENERS = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'muniment cache'"
)


class Server:
    """The database server, as its administrator sees it."""

    def __init__(self, connection: psycopg.Connection[int]) -> None:
        self._connection = connection

    def listeners(self) -> list[int]:
        return self._connection.execute(LISTENERS).fetchall()

    def kill_listeners(self) -> None:
        self._connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({LISTENERS}) AS them")


@pytest.fixture
def server_of(clone: Clone) -> Iterator[Server]:
    with psycopg.connect(
        clone.installation.owner_dsn, autocommit=True, row_factory=scalar_row
    ) as connection:
        yield Server(connection)


class Wire:
    """What lies between a listener and the server, and can begin to swallow everything."""

    def __init__(self, folder: str, server: str) -> None:
        self._folder = folder
        self._server = server
        self._connections: list[asyncio.Event] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Swallow what is sent over the connections that there are; new ones work."""
        for silent in self._connections:
            silent.set()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """Take connections in the folder, whose path is given."""
        path = f"{self._folder}/{Path(self._server).name}"
        async with await asyncio.start_unix_server(self._connect, path):
            yield self._folder
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_unix_connection(self._server)
        silent = asyncio.Event()
        self._connections.append(silent)
        for source, sink in ((near, to_far), (far, to_near)):
            self._tasks.add(asyncio.create_task(self._carry(source, sink, silent)))

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, silent: asyncio.Event
    ) -> None:
        try:
            while data := await source.read(65536):
                if not silent.is_set():
                    sink.write(data)
        finally:
            sink.close()


@pytest.fixture
def wire(clone: Clone, data_dir: Path) -> Wire:
    [folder] = parse_qs(urlsplit(clone.installation.app_dsn).query)["host"]
    [socket] = Path(folder).glob(".s.PGSQL.*[0-9]")
    return Wire(str(data_dir), str(socket))


def over(database: Database, folder: str) -> Database:
    """The same database, but whoever listens does it through a socket in a folder."""
    address = urlsplit(database.dsn)
    query = urlencode({"host": folder})
    return replace(database, dsn=urlunsplit(address._replace(query=query)), after_commit=[])


async def test_nothing_stale_is_read_while_the_connection_is_killed_again_and_again(
    database: Database, scope: TenantScope, clone: Clone, server_of: Server
) -> None:
    target = clone.installation
    async with neighbour(target.app_dsn, target.operator_dsn, scope) as other:
        for number in range(400):
            if number % 20 == 10:
                server_of.kill_listeners()
            await rename(database, scope, f"name {number}")
            committed = time.monotonic()
            while True:
                asked = time.monotonic()
                if await other.ask("read") == f"name {number}":
                    break
                assert asked - committed < SOON_SECONDS
                await asyncio.sleep(0.001)
            assert await other.ask("read") == f"name {number}"
        assert await other.ask("ready") is True
        await other.ask("read")
        await other.ask("read")
        figures = await other.statistics()
    assert figures["connections"] >= 5
    assert figures["listening"] is True
    assert figures["namespaces"]["names"]["bypasses"] > 0
    assert figures["namespaces"]["names"]["memory_hits"] > 50


async def test_what_was_committed_while_nobody_listened_is_not_served_afterwards(
    database: Database, clone: Clone, server_of: Server
) -> None:
    source = Source()
    async with clone.open() as elsewhere, open_cache(database) as cache:
        assert await cache.wait_until_listening(10)
        await cache.get(THINGS, "ours", "a", source.load)
        server_of.kill_listeners()
        await until(lambda: not cache.statistics().listening)
        source.value = Thing("second")
        async with elsewhere.system() as work:
            work.invalidate("ours/all")
        assert await cache.get(THINGS, "ours", "a", source.load) == Thing("second")
        await until(lambda: cache.statistics().listening)
        assert await cache.get(THINGS, "ours", "a", source.load) == Thing("second")
        before = source.loads
        assert await cache.get(THINGS, "ours", "a", source.load) == Thing("second")
        assert source.loads == before


async def test_a_connection_that_died_in_silence_is_trusted_for_seconds_at_most(
    database: Database, wire: Wire
) -> None:
    source = Source()
    async with wire.laid() as folder, open_cache(over(database, folder)) as cache:
        assert await cache.wait_until_listening(10)
        await cache.get(THINGS, "ours", "a", source.load)
        wire.cut()
        source.value = Thing("second")
        async with database.system() as work:
            work.invalidate("ours/all")
        committed = time.monotonic()
        assert await cache.get(THINGS, "ours", "a", source.load) == Thing("first")
        await until(lambda: not cache.statistics().listening)
        assert time.monotonic() - committed < LEASE_SECONDS + 0.5
        assert await cache.get(THINGS, "ours", "a", source.load) == Thing("second")
        # It connects anew without waiting for the old connection to end.
        await until(lambda: cache.statistics().listening)
        assert await cache.get(THINGS, "ours", "a", source.load) == Thing("second")
        assert cache.statistics().connections == 2


async def test_redis_tells_sooner_when_the_connection_died_in_silence(
    database: Database, wire: Wire, redis_server: RedisServer
) -> None:
    source = Source()
    url = redis_server.url
    async with (
        wire.laid() as folder,
        open_cache(over(database, folder), redis_url=url) as cache,
        open_cache(database, redis_url=url) as other,
    ):
        await until(lambda: cache.statistics().redis_up and other.statistics().redis_up)
        await until(lambda: b":2" in redis_server.command("PUBLISH", "muniment_cache", "x y/z"))
        await cache.get(THINGS, "ours", "a", source.load)
        wire.cut()
        source.value = Thing("second")
        async with database.system() as work:
            work.invalidate("ours/all")
        await until(lambda: counted(cache).invalidations == 1, 1.0)
        assert await cache.get(THINGS, "ours", "a", source.load) == Thing("second")


async def test_without_a_listener_everything_is_loaded(database: Database) -> None:
    source = Source()
    deaf = replace(database, dsn="postgresql://muniment_app@127.0.0.1:1/nowhere", after_commit=[])
    async with open_cache(deaf) as cache:
        for _ in range(3):
            assert await cache.get(THINGS, "ours", "a", source.load) == Thing("first")
        assert source.loads == 3
        assert counted(cache).bypasses == 3
        async with deaf.system() as work:
            work.invalidate("ours/all")
        assert not cache.statistics().listening
