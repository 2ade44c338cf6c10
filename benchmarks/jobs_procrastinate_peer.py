"""A peer of `jobs`: Procrastinate on Postgres, its rows and events kept as it does by default.

    PYTHON jobs_procrastinate_peer.py DSN JOBS SAMPLES CONCURRENCY

Prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time

import uvloop
from procrastinate import App, PsycopgConnector

AT_ONCE = 1000
WARM_UP = 20


async def main(dsn: str, jobs: int, samples: int, concurrency: int) -> dict[str, object]:
    app = App(connector=PsycopgConnector(conninfo=dsn, min_size=2, max_size=10))
    starts: asyncio.Queue[float] = asyncio.Queue()

    @app.task(name="nothing")
    async def nothing() -> None: ...

    @app.task(name="told", queue="told")
    async def told() -> None:
        starts.put_nowait(time.perf_counter())

    async def drain() -> None:
        await app.run_worker_async(
            queues=["default"], concurrency=concurrency, wait=False, install_signal_handlers=False
        )

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await nothing.batch_defer_async(*[{}] * AT_ONCE)
        await drain()
        begin = time.perf_counter()
        for start in range(0, jobs, AT_ONCE):
            await nothing.batch_defer_async(*[{}] * min(AT_ONCE, jobs - start))
        enqueued = time.perf_counter()
        await drain()
        done = time.perf_counter()
        worker = asyncio.create_task(
            app.run_worker_async(
                queues=["told"], concurrency=concurrency, install_signal_handlers=False
            )
        )
        taken = []
        for sample in range(samples + WARM_UP):
            start = time.perf_counter()
            await told.defer_async()
            milliseconds = (await starts.get() - start) * 1000
            if sample >= WARM_UP:
                taken.append(milliseconds)
            await asyncio.sleep(0.02)
        worker.cancel()
        await asyncio.wait([worker])
    return {
        "enqueued_per_second": jobs / (enqueued - begin),
        "done_per_second": jobs / (done - enqueued),
        "idle_starts_ms": taken,
    }


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    print(json.dumps(uvloop.run(main(sys.argv[1], *map(int, sys.argv[2:5])))))
