"""A peer of `jobs`: Celery on Redis, with the state of each task kept in Redis.

    PYTHON jobs_celery_peer.py REDIS_SOCKET JOBS SAMPLES CONCURRENCY

One worker process, with the pool `solo`, which did more than twice as many as `threads`. Prints
one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from celery import Celery
from celery.signals import task_postrun, worker_ready

WARM_UP = 20
WARM_UP_JOBS = 1000

socket, jobs, samples, _concurrency = sys.argv[1], *map(int, sys.argv[2:5])
app = Celery("peer", broker=f"redis+socket://{socket}", backend=f"redis+socket://{socket}")
app.conf.task_track_started = True
app.conf.worker_hijack_root_logger = False
app.conf.worker_redirect_stdouts = False
app.conf.worker_prefetch_multiplier = 64
app.conf.broker_connection_retry_on_startup = True


figures: dict[str, object] = {}
ended = threading.Semaphore(0)
handled = threading.Event()
begun = [0.0]
ready = threading.Event()


@app.task(name="nothing")
def nothing() -> None:
    begun[0] = time.perf_counter()
    handled.set()


@worker_ready.connect
def _ready(**_: object) -> None:
    ready.set()


@task_postrun.connect
def _ended(**_: object) -> None:
    ended.release()


def enqueue(count: int) -> float:
    """Return the seconds it took."""
    begin = time.perf_counter()
    with app.producer_or_acquire() as producer:
        for _ in range(count):
            nothing.apply_async(producer=producer)
    return time.perf_counter() - begin


def measure() -> None:
    ready.wait()
    for _ in range(WARM_UP_JOBS):
        ended.acquire()
    begin = time.perf_counter()
    for _ in range(jobs):
        ended.acquire()
    figures["done_per_second"] = jobs / (time.perf_counter() - begin)
    taken = []
    with app.producer_or_acquire() as producer:
        for sample in range(samples + WARM_UP):
            handled.clear()
            start = time.perf_counter()
            nothing.apply_async(producer=producer)
            handled.wait()
            if sample >= WARM_UP:
                taken.append((begun[0] - start) * 1000)
            time.sleep(0.02)
    figures["idle_starts_ms"] = taken
    print(json.dumps(figures), flush=True)
    os._exit(0)  # a worker that is stopped from another thread leaves with errors


def main() -> None:
    # By a process of its own: a producer listens for the results of what it has enqueued.
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as producer:
        producer.submit(enqueue, WARM_UP_JOBS).result()
        figures["enqueued_per_second"] = jobs / producer.submit(enqueue, jobs).result()
    worker = app.Worker(
        pool="solo", loglevel="ERROR", quiet=True, without_gossip=True, without_mingle=True
    )
    threading.Thread(target=measure, daemon=True).start()
    worker.start()


if __name__ == "__main__":
    main()
