"""Progress: of running jobs into their rows, and of a job's children into one figure."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import msgspec
import structlog

from muniment.db import Database, UnitOfWork, load_statements
from muniment.jobs.outcome import DATABASE_TROUBLE
from muniment.jobs.running_job import RunningJob

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.jobs")

_INTERVAL_SECONDS = 0.5
_LATELY = timedelta(minutes=1)


class ProgressWriter:
    """Writes what running jobs reported last, of all jobs in one statement."""

    def __init__(self, database: Database, worker_id: UUID) -> None:
        self._database = database
        self._worker_id = worker_id
        self._changed: dict[UUID, RunningJob] = {}
        self._work = asyncio.Event()

    def note(self, job: RunningJob) -> None:
        """Remember that the job has reported progress."""
        self._changed[job.job_id] = job
        self._work.set()

    async def write_forever(self) -> None:
        """Write progress twice a second, while there is any, until cancelled."""
        while True:
            await self._work.wait()
            await asyncio.sleep(_INTERVAL_SECONDS)
            self._work.clear()
            jobs = list(self._changed.values())
            self._changed.clear()
            try:
                await self._write(jobs)
            except DATABASE_TROUBLE as error:
                # The next report or the end of the job brings it up to date.
                _log.warning("progress not written", error=str(error))

    async def _write(self, jobs: list[RunningJob]) -> None:
        async with self._database.system() as uow:
            await _statements.record_progress(
                uow,
                worker_id=self._worker_id,
                org_ids=[job.scope.org_id for job in jobs],
                job_ids=[job.job_id for job in jobs],
                done=[job.reported.done for job in jobs],
                totals=[job.reported.total for job in jobs],
                units=[job.reported.unit for job in jobs],
                rates=[job.reported.rate for job in jobs],
            )


class ProgressOfChildren(msgspec.Struct, frozen=True):
    """The children of a job by status, and the sums of what they have done and have to do."""

    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    done: int
    total: int
    rate: float
    """Children that ended per second, lately."""


async def progress_of(uow: UnitOfWork, parent_id: UUID) -> ProgressOfChildren:
    """Roll up the children of a job in one statement."""
    row = await _statements.progress_of(
        uow, parent_id=parent_id, workspace_id=uow.scope.workspace_id, lately=_LATELY
    )
    return ProgressOfChildren(**row)
