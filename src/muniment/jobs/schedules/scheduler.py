"""Enqueues the jobs of schedules when they come due, in every worker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import structlog

from muniment.db import Database, OrgId, Role, TenantScope, UnitOfWork, load_statements
from muniment.errors import MunimentError
from muniment.jobs.enqueue import enqueue
from muniment.jobs.outcome import DATABASE_TROUBLE
from muniment.jobs.schedules.timing import next_time
from muniment.jobs.task import Task

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.jobs.schedules")

ANNOUNCED = "schedules"
"""What a change of schedules announces where lanes announce work."""

_LONGEST_SLEEP = 60.0
_AT_A_TIME = 100


class Scheduler:
    """Looks when the next schedule is due and sleeps until then.

    Every worker does; a schedule is held while its job is enqueued, so that one of them does it,
    and the job's dedupe key is the schedule's, so that it does not pile up.
    """

    def __init__(self, database: Database, tasks: Mapping[str, Task[Any]]) -> None:
        self._database = database
        self._tasks = tasks
        self._look = asyncio.Event()

    def look(self) -> None:
        """Look again at once: a schedule was added or changed."""
        self._look.set()

    async def run(self) -> None:
        """Enqueue what comes due until cancelled."""
        while True:
            self._look.clear()
            try:
                pause = await self._enqueue_due()
            except (*DATABASE_TROUBLE, TimeoutError) as error:
                _log.warning("cannot look after schedules", error=str(error))
                pause = 5.0
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), pause)

    async def _enqueue_due(self) -> float:
        """Enqueue what is due; return the seconds until it is worth looking again."""
        async with self._database.system() as work:
            rows = await _statements.due_schedules(work, most=_AT_A_TIME)
        for row in rows:
            wait: float = row["wait"].total_seconds()
            if wait > 0:
                return min(wait + 0.005, _LONGEST_SLEEP)
            try:
                await self._enqueue(OrgId(row["org_id"]), row["schedule_id"])
            except (MunimentError, asyncpg.PostgresError) as error:
                # It stays due and is tried again; the others are not held up.
                _log.error(
                    "schedule failed", schedule_id=str(row["schedule_id"]), reason=str(error)
                )
        return 0.0 if len(rows) == _AT_A_TIME else _LONGEST_SLEEP

    async def _enqueue(self, org_id: OrgId, schedule_id: UUID) -> None:
        scope = TenantScope(org_id, None, f"schedule:{schedule_id}", Role.OWNER)
        async with self._database.unit_of_work(scope) as work:
            row = await _statements.take_due_schedule(work, schedule_id=schedule_id)
            if row is None:
                return  # another worker has it
            job_id = await self._begin(work, row)
            await _statements.schedule_ran(
                work,
                schedule_id=schedule_id,
                job_id=job_id,
                next_at=next_time(row["cron"], row["timezone"], datetime.now(UTC)),
            )

    async def _begin(self, work: UnitOfWork, row: Any) -> UUID | None:
        # What another version has left behind, perhaps, holds up no other schedule.
        task = self._tasks.get(row["kind"])
        if task is None:
            _log.error("schedule of an unknown kind skipped", kind=row["kind"])
            return None
        try:
            payload = msgspec.convert(row["payload"], task.payload_type)
        except msgspec.ValidationError as error:
            _log.error("schedule skipped", kind=row["kind"], reason=str(error))
            return None
        return await enqueue(
            work,
            task,
            payload,
            dedupe_key=f"schedule:{row['schedule_id']}",
            group_id=row["group_id"],
        )
