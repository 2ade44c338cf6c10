"""The worker process: what the rooms' job handlers work with, and its orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import uvloop

from muniment.components import load_embedder, open_blobs, search_index
from muniment.db.installation import Installation, ready_installation
from muniment.documents.blobs import BlobStore
from muniment.documents.convert import Converter, Limits
from muniment.documents.embedding import Embedder
from muniment.documents.embedding_model import find_model
from muniment.documents.search_index import SearchIndex
from muniment.documents.tasks import tasks as document_tasks
from muniment.jobs import Lane, Task, Worker, queue_state
from muniment.jobs.retention import Retention
from muniment.jobs.tracing import TracingObserver
from muniment.jobs.upkeep import Upkeep
from muniment.jobs.watchdog import LoopWatchdog
from muniment.observability.job_watch import JobWatch
from muniment.observability.logging import configure_logging
from muniment.observability.metrics import Metrics
from muniment.observability.metrics.gathering import joined
from muniment.observability.monitoring_server import monitoring_server
from muniment.observability.objectives.process import counted_jobs
from muniment.observability.process_watch import watched
from muniment.observability.request_record import StatementLimits
from muniment.observability.tracing import configure_tracing
from muniment.reconcile.datasets.tasks import tasks as dataset_tasks
from muniment.reconcile.runs.tasks import tasks as run_tasks
from muniment.settings import Settings
from muniment.sources.tasks import tasks as source_tasks

TASKS: list[Task[Any]] = [*source_tasks, *document_tasks, *dataset_tasks, *run_tasks]
"""Every kind of job that a worker can do."""

_NICENESS = 5
"""A worker gives way to the API beside it: people wait for searches, nobody for a batch."""

_NICENESS_OF_EMBEDDING = 15
"""Embedding alone gives way to conversion too: it takes far longer, and search by words does
not wait for it."""


def run_worker(settings: Settings, lanes: Sequence[Lane]) -> None:
    """Serve lanes until SIGINT or SIGTERM; a second signal does not wait for running jobs.

    Raises:
        MigrationsPending: the schema of an external database is older than this version.
    """
    configure_logging(settings.log_format, settings.log_level)
    with contextlib.suppress(OSError):
        os.nice(_NICENESS_OF_EMBEDDING if set(lanes) == {Lane.EMBED} else _NICENESS)
    with configure_tracing(settings, "worker"), ready_installation(settings) as target:
        uvloop.run(_serve(settings, target, lanes))


async def _serve(settings: Settings, target: Installation, lanes: Sequence[Lane]) -> None:
    stop, at_once = _stopped_by_signal()
    timeout = settings.worker_statement_timeout
    metrics = Metrics("embedding-worker" if set(lanes) == {Lane.EMBED} else "worker")
    slow = settings.slow_job_statement_ms / 1000
    async with (
        target.open(settings, statement_timeout=timeout, worker=True) as database,
        resources(settings, lanes, metrics) as available,
        counted_jobs(database, settings.objectives, metrics) as objectives,
        watched(
            metrics,
            settings,
            database,
            slow_seconds=slow,
            read_queue=partial(queue_state, database),
        ),
        joined(metrics, settings.data_dir) as exposition,
        monitoring_server(settings.worker_host, settings.worker_port, exposition, database),
    ):
        limits = StatementLimits(settings.statements_per_job, settings.same_statement_per_job)
        worker = Worker(
            database,
            TASKS,
            available,
            _concurrency(settings, lanes),
            observers=[TracingObserver(), JobWatch(metrics, limits), objectives],
            upkeep=_upkeep(settings),
        )
        metrics.jobs.watch(worker.load)
        with LoopWatchdog().watching():
            await worker.run(stop, at_once=at_once)


@asynccontextmanager
async def resources(
    settings: Settings, lanes: Sequence[Lane], metrics: Metrics | None = None
) -> AsyncIterator[Mapping[type[Any], Any]]:
    """Open what the job handlers of some lanes ask for by type, measured by `metrics`."""
    metrics = metrics or Metrics("worker")
    async with AsyncExitStack() as stack:
        available: dict[type[Any], Any] = {
            Settings: settings,
            BlobStore: open_blobs(settings),
            SearchIndex: search_index(),
        }
        if Lane.EMBED in lanes:
            embedder = await asyncio.to_thread(load_embedder, settings)
            available[Embedder] = stack.enter_context(embedder)
            stack.enter_context(embedder.observed_by(metrics.embedding))
        if Lane.CONVERT in lanes:
            available[Converter] = await stack.enter_async_context(_converter(settings, metrics))
        yield available


def _converter(settings: Settings, metrics: Metrics) -> Converter:
    return Converter(
        find_model(settings.embed_model).tokenizer,
        processes=settings.convert_processes,
        token_budget=settings.chunk_tokens,
        deadline=settings.convert_timeout,
        memory_mb=settings.convert_memory_mb,
        limits=Limits(
            max_bytes=settings.max_upload_bytes,
            ocr=settings.ocr,
            ocr_seconds=settings.convert_timeout * 2 / 3,
        ),
        observers=[metrics.conversions],
    )


def _concurrency(settings: Settings, lanes: Sequence[Lane]) -> dict[Lane, int]:
    configured = {
        Lane.FAST: settings.fast_concurrency,
        Lane.CONVERT: settings.convert_concurrency,
        Lane.EMBED: settings.embed_concurrency,
        Lane.RECONCILE: settings.reconcile_concurrency,
    }
    return {lane: configured[lane] for lane in lanes}


def _upkeep(settings: Settings) -> list[Upkeep]:
    retention = Retention(
        succeeded=timedelta(days=settings.jobs_keep_days),
        failed=timedelta(days=settings.failed_jobs_keep_days),
        most=settings.jobs_keep_most,
    )
    return [Upkeep("jobs.retention", timedelta(minutes=10), retention.purge)]


def _stopped_by_signal() -> tuple[asyncio.Event, asyncio.Event]:
    """Return two events: the first signal sets the first, a second one the other as well."""
    stop, at_once = asyncio.Event(), asyncio.Event()

    def stopped() -> None:
        if stop.is_set():
            at_once.set()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped)
    return stop, at_once
