"""Tracked no-op jobs: enqueued and done per second by one worker, and how soon one starts.

Ours keeps a durable row for each job with its status, attempts, times and result. The peers run
in turns with it on the same machine, each as its own documentation has it: BullMQ (Node, Redis)
and Celery (Redis) keep what is done, Procrastinate and PgQueuer (Postgres, the same server as
ours) their rows and logs. Redis writes its log once a second (appendonly, everysec).

    python -m benchmarks.jobs [--json] [--jobs 20000] [--repeats 3] [--peers bullmq,...]

The peers are installed into a folder of their own (`--cache`) from PyPI and npm, at fixed
versions. One table, then one JSON line. Rates are medians, latencies from before the enqueueing
call until the handler runs.
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
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
import uvloop

from benchmarks.jobs_peer import CONCURRENCY, PEERS, SLOW_PEERS, Peers, Round
from muniment.db import Database, OrgId, Role, TenantScope, new_id
from muniment.db.installation import Installation, installation, upgrade
from muniment.jobs import Lane, RunningJob, Worker, enqueue, enqueue_many, task
from muniment.settings import Settings

ENQUEUED_AT_ONCE = 1000
WARM_UP = 20
SLOW_JOBS = 200
SLOW_SECONDS = 0.25
LARGE, SMALL = 10_000, 10
LANES = {Lane.FAST: 8, Lane.CONVERT: 2, Lane.EMBED: 1}


class Nothing(msgspec.Struct):
    """A payload of nothing."""


class Starts:
    """When handlers began, and for whom."""

    def __init__(self) -> None:
        self.count = 0
        self.last = 0.0
        self.started = asyncio.Event()
        self.organizations: list[OrgId] = []


@task(kind="benchmarks.nothing", lane=Lane.FAST)
async def nothing(job: RunningJob, _payload: Nothing) -> None:
    starts = job.resource(Starts)
    starts.count += 1
    starts.last = time.perf_counter()
    starts.organizations.append(job.scope.org_id)
    starts.started.set()


@task(kind="benchmarks.slow", lane=Lane.CONVERT)
async def slow(_job: RunningJob, _payload: Nothing) -> None:
    await asyncio.sleep(SLOW_SECONDS)


def main() -> None:
    arguments = _arguments()
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        settings = Settings(data_dir=Path(folder))
        target = stack.enter_context(installation(settings))
        upgrade(target)
        peers = Peers(arguments.cache, target.owner_dsn, arguments.samples)
        stack.enter_context(peers.redis())

        def ours() -> Round:
            return uvloop.run(_round(settings, target, arguments))

        contenders: dict[str, Callable[[], Round]] = {"muniment": ours}
        for name in arguments.peers:
            contenders[name] = _peer(peers, name, arguments)
        rounds: dict[str, list[Round]] = {name: [] for name in contenders}
        for repeat in range(arguments.repeats):
            for name, contender in contenders.items():
                rounds[name].append(contender())
                _note(arguments, f"{repeat + 1}. {name}: {rounds[name][-1].done:,.0f} jobs/s")
        ours_alone = uvloop.run(_properties(settings, target, arguments))
    _report(rounds, ours_alone, load, arguments)


def _peer(peers: Peers, name: str, arguments: argparse.Namespace) -> Callable[[], Round]:
    jobs = arguments.slow_peer_jobs if name in SLOW_PEERS else arguments.jobs
    return lambda: peers.run(name, jobs)


async def _round(settings: Settings, target: Installation, arguments: argparse.Namespace) -> Round:
    async with (
        target.open(settings, statement_timeout=30) as database,
        target.open(settings, statement_timeout=30, worker=True) as worker_database,
    ):
        scope = await _organization(database)
        lanes = {Lane.FAST: arguments.concurrency}
        await _drain(database, worker_database, scope, ENQUEUED_AT_ONCE, lanes)
        enqueued, done = await _drain(database, worker_database, scope, arguments.jobs, lanes)
        starts = Starts()
        async with _worker(worker_database, starts, LANES):
            taken = await _start_times(database, scope, starts, arguments.samples)
    return Round(enqueued, done, taken)


async def _properties(
    settings: Settings, target: Installation, arguments: argparse.Namespace
) -> dict[str, float]:
    """Measure what only ours claims: lanes that do not wait for each other, and fairness."""
    async with (
        target.open(settings, statement_timeout=30) as database,
        target.open(settings, statement_timeout=30, worker=True) as worker_database,
    ):
        scope, other = await _organization(database), await _organization(database)
        starts = Starts()
        await _enqueue(database, scope, SLOW_JOBS, slow)
        async with _worker(worker_database, starts, LANES):
            beside = await _start_times(database, scope, starts, min(arguments.samples, 200))
            waiting = await _unfinished(database, scope)
        assert waiting, "the slow jobs had ended before the fast ones were measured"
        # The slow jobs that are left stay in their lane, which the next worker does not serve.
        starts = Starts()
        await _enqueue(database, scope, LARGE)
        await _enqueue(database, other, SMALL)
        async with _worker(worker_database, starts, {Lane.FAST: arguments.concurrency}):
            await _all_started(starts, LARGE + SMALL)
    positions = [
        place for place, org_id in enumerate(starts.organizations, 1) if org_id == other.org_id
    ]
    return {
        "beside_slow_start_p50_ms": _percentile(beside, 50),
        "beside_slow_start_p95_ms": _percentile(beside, 95),
        "fair_last_position": max(positions),
    }


async def _drain(
    database: Database,
    worker_database: Database,
    scope: TenantScope,
    count: int,
    lanes: dict[Lane, int],
) -> tuple[float, float]:
    """Enqueue jobs, then let a worker do them all; return both rates in jobs a second."""
    begin = time.perf_counter()
    await _enqueue(database, scope, count)
    enqueued = time.perf_counter()
    starts = Starts()
    async with _worker(worker_database, starts, lanes):
        await _all_started(starts, count)
        while await _unfinished(database, scope):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        done = time.perf_counter()
    return count / (enqueued - begin), count / (done - enqueued)


async def _enqueue(database: Database, scope: TenantScope, count: int, kind: Any = nothing) -> None:
    for start in range(0, count, ENQUEUED_AT_ONCE):
        size = min(ENQUEUED_AT_ONCE, count - start)
        async with database.unit_of_work(scope) as uow:
            await enqueue_many(uow, kind, [Nothing()] * size)


async def _all_started(starts: Starts, count: int) -> None:
    while starts.count < count:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def _unfinished(database: Database, scope: TenantScope) -> bool:
    async with database.unit_of_work(scope) as uow:
        return bool(
            await uow.connection.fetchval(
                "SELECT EXISTS (SELECT FROM jobs WHERE finished_at IS NULL)"
            )
        )


async def _start_times(
    database: Database, scope: TenantScope, starts: Starts, samples: int
) -> list[float]:
    """Return in milliseconds how long single jobs took to start."""
    taken: list[float] = []
    for sample in range(samples + WARM_UP):
        starts.started.clear()
        begin = time.perf_counter()
        async with database.unit_of_work(scope) as uow:
            await enqueue(uow, nothing, Nothing())
        await starts.started.wait()
        if sample >= WARM_UP:
            taken.append((starts.last - begin) * 1000)
        await asyncio.sleep(0.02)
    return taken


@asynccontextmanager
async def _worker(
    database: Database, starts: Starts, lanes: dict[Lane, int]
) -> AsyncIterator[None]:
    stop, at_once = asyncio.Event(), asyncio.Event()
    worker = Worker(database, [nothing, slow], {Starts: starts}, lanes)
    running = asyncio.create_task(worker.run(stop, at_once=at_once))
    try:
        yield
    finally:
        stop.set()
        at_once.set()
        await running


async def _organization(database: Database) -> TenantScope:
    scope = TenantScope(OrgId(new_id()), None, "benchmark", Role.OWNER)
    async with database.unit_of_work(scope) as uow:
        await uow.connection.execute(
            "INSERT INTO organizations (org_id, name, tier) VALUES ($1, 'Benchmark', 'enterprise')",
            scope.org_id,
        )
    return scope


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def _figures(rounds: list[Round]) -> dict[str, float]:
    starts = [taken for each in rounds for taken in each.starts]
    return {
        "enqueued_per_second": statistics.median(each.enqueued for each in rounds),
        "done_per_second": statistics.median(each.done for each in rounds),
        "idle_start_p50_ms": _percentile(starts, 50),
        "idle_start_p95_ms": _percentile(starts, 95),
    }


def _report(
    rounds: dict[str, list[Round]],
    ours_alone: dict[str, float],
    load: float,
    arguments: argparse.Namespace,
) -> None:
    figures = {name: _figures(of) for name, of in rounds.items()}
    ours = figures["muniment"]["done_per_second"]
    ratios = {name: ours / each["done_per_second"] for name, each in figures.items()}
    if not arguments.json:
        print(
            f"\n{'':<16}{'enqueued/s':>12}{'done/s':>12}{'ours is':>12}{'start p50':>12}{'p95':>12}"
        )
        for name, each in figures.items():
            print(
                f"{name:<16}{each['enqueued_per_second']:>12,.0f}{each['done_per_second']:>12,.0f}"
                f"{ratios[name]:>10.2f} x{each['idle_start_p50_ms']:>9.1f} ms"
                f"{each['idle_start_p95_ms']:>9.1f} ms"
            )
        print(
            f"\nA fast job beside {SLOW_JOBS} slow ones in another lane starts within"
            f" {ours_alone['beside_slow_start_p95_ms']:.1f} ms (p95); of {SMALL} jobs beside"
            f" {LARGE:,} of another organization the last is start number"
            f" {ours_alone['fair_last_position']:.0f}.\n"
        )
    result = {
        "benchmark": "jobs",
        "jobs": arguments.jobs,
        "jobs_of_slow_peers": arguments.slow_peer_jobs,
        "repeats": arguments.repeats,
        "concurrency": {"muniment": arguments.concurrency, **CONCURRENCY},
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        "load_before_and_after": [round(load, 1), round(os.getloadavg()[0], 1)],
        **{name: _rounded(each) for name, each in figures.items()},
        "ratios": _rounded(ratios),
        **_rounded(ours_alone),
    }
    print(json.dumps(result))


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in figures.items()}


def _note(arguments: argparse.Namespace, line: str) -> None:
    if not arguments.json:
        print(line, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.jobs", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs of a round")
    parser.add_argument(
        "--slow-peer-jobs", type=int, default=2_000, help=f"the same for {' and '.join(SLOW_PEERS)}"
    )
    parser.add_argument("--repeats", type=int, default=3, help="rounds of each contender")
    parser.add_argument("--concurrency", type=int, default=8, help="jobs at a time, ours")
    parser.add_argument("--samples", type=int, default=100, help="jobs of a round that are timed")
    parser.add_argument(
        "--peers",
        type=lambda text: [name for name in text.split(",") if name],
        default=list(PEERS),
        help=f"of {', '.join(PEERS)}, separated by commas",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=platformdirs.user_cache_path("muniment-benchmarks"),
        help="folder that the peers are installed into",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
