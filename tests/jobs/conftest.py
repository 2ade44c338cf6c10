"""A worker beside the test, and questions about jobs that wait for their answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from muniment.db import Database, TenantScope
from muniment.jobs import Lane, Worker
from tests.jobs.kinds import ALL, Journal

LANES = {Lane.FAST: 8, Lane.CONVERT: 2, Lane.EMBED: 1, Lane.RECONCILE: 1}
RunWorker = Callable[..., AbstractAsyncContextManager[Worker]]


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def run_worker(worker_database: Database, journal: Journal) -> RunWorker:
    @asynccontextmanager
    async def run(**options: Any) -> AsyncIterator[Worker]:
        at_once = options.pop("at_once", None)
        worker = Worker(
            worker_database,
            options.pop("tasks", ALL),
            {Journal: journal},
            options.pop("lanes", LANES),
            **options,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(worker.run(stop, at_once=at_once))
        try:
            yield worker
        finally:
            stop.set()
            await running

    return run


class Jobs:
    """The tracked rows of one organization."""

    def __init__(self, database: Database, scope: TenantScope) -> None:
        self._database = database
        self._scope = scope

    async def row(self, job_id: UUID) -> asyncpg.Record:
        async with self._database.unit_of_work(self._scope) as uow:
            row = await uow.connection.fetchrow("SELECT * FROM jobs WHERE job_id = $1", job_id)
        assert row is not None
        return row

    async def reaches(self, job_id: UUID, status: str, seconds: float = 15.0) -> asyncpg.Record:
        """Wait until the job has the status and return its row."""
        async with asyncio.timeout(seconds):
            while (row := await self.row(job_id))["status"] != status:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return row

    async def count(self, status: str) -> int:
        async with self._database.unit_of_work(self._scope) as uow:
            return int(
                await uow.connection.fetchval("SELECT count(*) FROM jobs WHERE status = $1", status)
            )

    async def all_reach(self, status: str, count: int, seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while await self.count(status) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@pytest.fixture
def jobs(database: Database, scope: TenantScope) -> Jobs:
    return Jobs(database, scope)


async def queue_length(database: Database) -> int:
    async with database.operator() as uow:
        return int(await uow.connection.fetchval("SELECT count(*) FROM queue.entries"))
