"""A peer of `jobs`: PgQueuer as it comes on Postgres, which keeps a queue and a log of its own.

    PYTHON jobs_pgqueuer_peer.py DSN JOBS SAMPLES BATCH

Prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time

import asyncpg
import uvloop
from pgqueuer import AsyncpgPoolDriver, PgQueuer, Queries
from pgqueuer.models import Job
from pgqueuer.types import QueueExecutionMode

AT_ONCE = 1000
WARM_UP = 20


async def main(dsn: str, jobs: int, samples: int, batch: int) -> dict[str, object]:
    async with asyncpg.create_pool(dsn, min_size=2, max_size=10) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        await queries.install()
        await _round(pool, queries, AT_ONCE, batch)
        figures: dict[str, object] = dict(await _round(pool, queries, jobs, batch))
        figures["idle_starts_ms"] = await _idle(pool, queries, samples, batch)
        return figures


async def _round(pool: asyncpg.Pool, queries: Queries, jobs: int, batch: int) -> dict[str, float]:
    begin = time.perf_counter()
    for start in range(0, jobs, AT_ONCE):
        size = min(AT_ONCE, jobs - start)
        await queries.enqueue(["nothing"] * size, [None] * size, [0] * size)
    enqueued = time.perf_counter()
    worker = PgQueuer(AsyncpgPoolDriver(pool))

    @worker.entrypoint("nothing")
    async def nothing(job: Job) -> None: ...

    await worker.run(batch_size=batch, mode=QueueExecutionMode.drain)
    done = time.perf_counter()
    return {
        "enqueued_per_second": jobs / (enqueued - begin),
        "done_per_second": jobs / (done - enqueued),
    }


async def _idle(pool: asyncpg.Pool, queries: Queries, samples: int, batch: int) -> list[float]:
    worker = PgQueuer(AsyncpgPoolDriver(pool))
    starts: asyncio.Queue[float] = asyncio.Queue()

    @worker.entrypoint("told")
    async def told(job: Job) -> None:  # noqa: ARG001
        starts.put_nowait(time.perf_counter())

    running = asyncio.create_task(worker.run(batch_size=batch))
    taken = []
    for sample in range(samples + WARM_UP):
        start = time.perf_counter()
        await queries.enqueue("told", None, 0)
        milliseconds = (await starts.get() - start) * 1000
        if sample >= WARM_UP:
            taken.append(milliseconds)
        await asyncio.sleep(0.02)
    worker.shutdown.set()
    await running
    return taken


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    print(json.dumps(uvloop.run(main(sys.argv[1], *map(int, sys.argv[2:5])))))
