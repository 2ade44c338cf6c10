"""Claim due jobs of a lane: they are taken from the queue and start in one statement."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from muniment.db import Database, OrgId, WorkspaceId, load_statements
from muniment.jobs.task import Lane

_statements = load_statements("muniment.jobs")

_NOBODY = UUID(int=0)
_SOON = timedelta(milliseconds=10)
"""What waits although nothing could be claimed is being claimed by somebody else."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker has taken and marked as running."""

    org_id: OrgId
    job_id: UUID
    workspace_id: WorkspaceId | None
    parent_id: UUID | None
    group_id: UUID | None
    kind: str
    lane: Lane
    payload: Any
    """As stored: the builtins that msgspec makes of the task's payload struct."""
    attempt: int
    """1 for the first."""
    max_attempts: int
    deadline: timedelta
    started_at: datetime
    """Tells this attempt from every other, also where a crash of the server made it forget that
    there was one."""
    waited: timedelta
    """From the moment when the job was due until this attempt started."""
    trace: str | None
    """W3C traceparent of whoever enqueued it."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one look at the queue of a lane has given."""

    claims: list[Claim]
    more: bool
    """Others may be due."""
    next_due: timedelta | None
    """When nothing at all was due: time until the next delayed job, if there is one."""


@dataclass(slots=True)
class Claimer:
    """Claims for one worker; remembers in each lane whose turn it was last.

    Organizations with waiting jobs take turns, so the n-th waiting job of one ranks with the
    n-th of another. Of one organization the highest priority comes first, then groups (sources)
    take turns. See `claim_jobs` in migration 0009.
    """

    database: Database
    worker_id: UUID
    _last: dict[Lane, UUID] = field(default_factory=dict)

    async def claim(self, lane: Lane, limit: int) -> Claimed:
        """Claim up to `limit` due jobs in one transaction.

        Raises:
            ServiceUnavailable, asyncpg.PostgresError: nothing was claimed.
        """
        async with self.database.system() as uow:
            rows = await _statements.claim_jobs(
                uow,
                worker_id=self.worker_id,
                lane=lane.value,
                most=limit,
                after=self._last.get(lane, _NOBODY),
            )
            if not rows:
                outlook = await _statements.lane_outlook(uow, lane=lane.value)
                due = _SOON if outlook["work_waits"] else outlook["next_due"]
                return Claimed([], more=False, next_due=due)
        self._last[lane] = rows[-1]["org_id"]
        return Claimed([_claim(lane, row) for row in rows], more=rows[0]["more"], next_due=None)


def _claim(lane: Lane, row: Any) -> Claim:
    return Claim(
        org_id=OrgId(row["org_id"]),
        job_id=row["job_id"],
        workspace_id=row["workspace_id"],
        parent_id=row["parent_id"],
        group_id=row["group_id"],
        kind=row["kind"],
        lane=lane,
        payload=row["payload"],
        attempt=row["attempts"],
        max_attempts=row["max_attempts"],
        deadline=row["deadline"],
        started_at=row["started_at"],
        waited=max(row["waited"], timedelta(0)),
        trace=row["trace"],
    )
