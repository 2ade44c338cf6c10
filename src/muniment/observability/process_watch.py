"""Everything that is watched of a process while it runs, whatever its role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from muniment.observability.statement_watch import StatementWatch
from muniment.outside_services import observe_outside_services
from muniment.processes.observers import observe_processes

if TYPE_CHECKING:
    from muniment.db import Database
    from muniment.observability.metrics import Metrics
    from muniment.observability.metrics.queue import QueueState
    from muniment.settings import Settings

ReadQueue = Callable[[], Awaitable[Sequence["QueueState"]]]


@asynccontextmanager
async def watched(
    metrics: Metrics,
    settings: Settings,
    database: Database,
    *,
    slow_seconds: float,
    read_queue: ReadQueue | None = None,
) -> AsyncIterator[None]:
    """Watch statements, pools, outside services, the event loop and the queue of a process.

    `slow_seconds` is from when a statement is slow; `read_queue` tells the state of the queue,
    for which no scrape then has to wait.
    """
    metrics.pools.watch("app", database.pool)
    metrics.pools.watch("operator", database.operator_pool)
    if database.replica is not None:
        metrics.pools.watch("replica", database.replica.pool)
    statements = StatementWatch(
        metrics, database.pool, slow_seconds=slow_seconds, development=settings.development
    )
    async with AsyncExitStack() as stack:
        stack.enter_context(statements.watching())
        stack.enter_context(observe_outside_services(metrics.outside))
        stack.enter_context(observe_processes(metrics.children))
        await stack.enter_async_context(_background(metrics.event_loop.measure()))
        if read_queue is not None:
            await stack.enter_async_context(_background(metrics.queue.keep_fresh(read_queue)))
        yield


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
