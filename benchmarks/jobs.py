"""Tracked no-op jobs: enqueued and done per second by one worker, and how soon an idle one starts.

Ours keeps a durable row for each job with its status, attempts, times and result; the peer,
PgQueuer as it comes, keeps its queue and its own log. Both run on the same server in turns.

    python -m benchmarks.jobs [--json] [--jobs 20000] [--repeats 3] [--concurrency 8]

One table, then one JSON line. Medians; latency is from before the caller's transaction begins
until the handler runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import uvloop
from pgqueuer import AsyncpgPoolDriver, PgQueuer, Queries
from pgqueuer.models import Job
from pgqueuer.types import QueueExecutionMode

from muniment.db import Database, OrgId, Role, TenantScope, new_id
from muniment.db.installation import Installation, installation, upgrade
from muniment.jobs import Lane, RunningJob, Worker, enqueue, enqueue_many, task
from muniment.settings import Settings

ENQUEUED_AT_ONCE = 1000
PEER_BATCH = 100


class Nothing(msgspec.Struct):
    """A payload of nothing."""


class Starts:
    """When handlers began."""

    def __init__(self) -> None:
        self.count = 0
        self.last = 0.0
        self.started = asyncio.Event()


@task(kind="benchmarks.nothing", lane=Lane.FAST)
async def nothing(job: RunningJob, _payload: Nothing) -> None:
    starts = job.resource(Starts)
    starts.count += 1
    starts.last = time.perf_counter()
    starts.started.set()


@dataclass
class Round:
    """Jobs a second."""

    enqueued: float
    done: float


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = Settings(data_dir=Path(folder))
        with installation(settings) as target:
            upgrade(target)
            figures = uvloop.run(_measure(settings, target, arguments))
    _report(figures, arguments)


async def _measure(
    settings: Settings, target: Installation, arguments: argparse.Namespace
) -> dict[str, object]:
    async with target.open(settings, statement_timeout=30) as database, _peer(target) as pool:
        scope = await _organization(database)
        contenders: dict[str, Callable[[int], Awaitable[Round]]] = {
            "ours": lambda count: _ours(database, scope, count, arguments.concurrency),
            "pgqueuer": lambda count: _bare_pgqueuer(pool, count),
        }
        rounds: dict[str, list[Round]] = {name: [] for name in contenders}
        for contender in contenders.values():
            await contender(ENQUEUED_AT_ONCE)
        for _ in range(arguments.repeats):
            for name, contender in contenders.items():
                rounds[name].append(await contender(arguments.jobs))
        latencies = await _latencies(database, scope, arguments.samples)
        server = await pool.fetchval("SHOW server_version")
    figures: dict[str, object] = {"postgres": server}
    for name, measured in rounds.items():
        figures[f"{name}_enqueued_per_second"] = statistics.median(
            each.enqueued for each in measured
        )
        figures[f"{name}_done_per_second"] = statistics.median(each.done for each in measured)
    figures["idle_start_p50_ms"] = statistics.quantiles(latencies, n=100)[49]
    figures["idle_start_p95_ms"] = statistics.quantiles(latencies, n=100)[94]
    return figures


async def _ours(database: Database, scope: TenantScope, count: int, concurrency: int) -> Round:
    begin = time.perf_counter()
    for start in range(0, count, ENQUEUED_AT_ONCE):
        size = min(ENQUEUED_AT_ONCE, count - start)
        async with database.unit_of_work(scope) as uow:
            await enqueue_many(uow, nothing, [Nothing()] * size)
    enqueued = time.perf_counter()
    starts = Starts()
    async with _worker(database, starts, {Lane.FAST: concurrency}):
        while starts.count < count or await _unfinished(database, scope):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        done = time.perf_counter()
    return Round(count / (enqueued - begin), count / (done - enqueued))


async def _unfinished(database: Database, scope: TenantScope) -> bool:
    async with database.unit_of_work(scope) as uow:
        return bool(
            await uow.connection.fetchval(
                "SELECT EXISTS (SELECT FROM jobs WHERE finished_at IS NULL)"
            )
        )


async def _bare_pgqueuer(pool: asyncpg.Pool, count: int) -> Round:
    queries = Queries(AsyncpgPoolDriver(pool))
    begin = time.perf_counter()
    for start in range(0, count, ENQUEUED_AT_ONCE):
        size = min(ENQUEUED_AT_ONCE, count - start)
        await queries.enqueue(["nothing"] * size, [None] * size, [0] * size)
    enqueued = time.perf_counter()
    worker = PgQueuer(AsyncpgPoolDriver(pool))

    @worker.entrypoint("nothing")
    async def nothing(job: Job) -> None: ...

    await worker.run(batch_size=PEER_BATCH, mode=QueueExecutionMode.drain)
    done = time.perf_counter()
    return Round(count / (enqueued - begin), count / (done - enqueued))


async def _latencies(database: Database, scope: TenantScope, samples: int) -> list[float]:
    starts = Starts()
    taken: list[float] = []
    async with _worker(database, starts, {Lane.FAST: 8, Lane.CONVERT: 2, Lane.EMBED: 1}):
        for sample in range(samples + 20):
            starts.started.clear()
            begin = time.perf_counter()
            async with database.unit_of_work(scope) as uow:
                await enqueue(uow, nothing, Nothing())
            await starts.started.wait()
            if sample >= 20:
                taken.append((starts.last - begin) * 1000)
            await asyncio.sleep(0.02)
    return taken


@asynccontextmanager
async def _worker(
    database: Database, starts: Starts, lanes: dict[Lane, int]
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(Worker(database, [nothing], {Starts: starts}, lanes).run(stop))
    yield
    stop.set()
    await running


async def _organization(database: Database) -> TenantScope:
    scope = TenantScope(OrgId(new_id()), None, "benchmark", Role.OWNER)
    async with database.unit_of_work(scope) as uow:
        await uow.connection.execute(
            "INSERT INTO organizations (org_id, name, tier) VALUES ($1, 'Benchmark', 'enterprise')",
            scope.org_id,
        )
    return scope


@asynccontextmanager
async def _peer(target: Installation) -> AsyncIterator[asyncpg.Pool]:
    """PgQueuer in a database of its own on the same server, installed as it comes."""
    owner = await asyncpg.connect(target.owner_dsn)
    await owner.execute("CREATE DATABASE peer")
    await owner.close()
    dsn = urlunsplit(urlsplit(target.owner_dsn)._replace(path="/peer"))
    async with asyncpg.create_pool(dsn, min_size=2, max_size=10) as pool:
        await Queries(AsyncpgPoolDriver(pool)).install()
        yield pool


def _report(figures: dict[str, object], arguments: argparse.Namespace) -> None:
    def figure(name: str) -> float:
        value = figures[name]
        assert isinstance(value, float)
        return value

    rows = [
        ("", "Muniment, tracked", "PgQueuer bare", "ratio"),
        *(
            (
                f"{what} a second",
                f"{figure(f'ours_{what}_per_second'):,.0f}",
                f"{figure(f'pgqueuer_{what}_per_second'):,.0f}",
                f"{figure(f'ours_{what}_per_second') / figure(f'pgqueuer_{what}_per_second'):.2f}",
            )
            for what in ("enqueued", "done")
        ),
        ("idle start p50 ms", f"{figure('idle_start_p50_ms'):.1f}", "", ""),
        ("idle start p95 ms", f"{figure('idle_start_p95_ms'):.1f}", "", ""),
    ]
    if not arguments.json:
        for first, *others in rows:
            print(f"{first:<20}" + "".join(f"{other:>20}" for other in others))
    result = {
        "benchmark": "jobs",
        "jobs": arguments.jobs,
        "repeats": arguments.repeats,
        "concurrency": arguments.concurrency,
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        **{name: round(x, 1) if isinstance(x, float) else x for name, x in figures.items()},
    }
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.jobs", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs of a round")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of each contender")
    parser.add_argument("--concurrency", type=int, default=8, help="jobs at a time, ours")
    parser.add_argument("--samples", type=int, default=200, help="jobs whose start is timed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
