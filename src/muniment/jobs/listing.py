"""List jobs and look one up, within the organization of a transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from muniment.db import UnitOfWork, first_id_at, load_statements
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.jobs.errors import JobNotFound
from muniment.jobs.progress import progress_of
from muniment.jobs.schemas import Children, Job, JobDetail, JobPage, JobStatus
from muniment.jobs.task import Lane

_statements = load_statements("muniment.jobs")

_LISTING = "jobs"
_NEWEST = UUID(int=2**128 - 1)
_OLDEST = UUID(int=0)


class JobFilter(msgspec.Struct, frozen=True):
    """Which jobs to list; what is None does not matter."""

    status: JobStatus | None = None
    kind: str | None = None
    lane: Lane | None = None
    since: datetime | None = None
    """Created at this time or later."""
    parent_id: UUID | None = None


async def find_job(uow: UnitOfWork, job_id: UUID) -> Job:
    """Return one job.

    Raises:
        JobNotFound: the organization (or the caller's workspace) has no such job.
    """
    row = await _statements.get_job(uow, job_id=job_id, workspace_id=uow.scope.workspace_id)
    if row is None:
        raise JobNotFound
    return Job.from_row(row)


async def job_detail(uow: UnitOfWork, job_id: UUID) -> JobDetail:
    """Return one job and the roll-up of its children, in two statements.

    Raises:
        JobNotFound: see `find_job`.
    """
    job = await find_job(uow, job_id)
    return JobDetail.of(job, Children.from_progress(await progress_of(uow, job_id)))


async def list_jobs(
    uow: UnitOfWork, wanted: JobFilter, *, limit: int, cursor: str | None, secret: bytes
) -> JobPage:
    """Return a page of jobs, newest first, in one statement.

    Raises:
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    before = _NEWEST if cursor is None else decode_cursor(secret, _LISTING, cursor, UUID)
    rows = await _statement(wanted)(
        uow,
        parent_id=wanted.parent_id,
        status=wanted.status,
        kind=wanted.kind,
        lane=wanted.lane,
        lanes=list(Lane) if wanted.lane is None else [wanted.lane],
        before=before,
        since=_OLDEST if wanted.since is None else first_id_at(wanted.since),
        workspace_id=uow.scope.workspace_id,
        limit=limit + 1,
    )
    items = [Job.from_row(row) for row in rows[:limit]]
    more = len(rows) > limit
    return JobPage(items, encode_cursor(secret, _LISTING, items[-1].id) if more else None)


def _statement(wanted: JobFilter) -> Any:
    """Return the statement whose index fits the filter best."""
    if wanted.parent_id is not None:
        return _statements.list_jobs_by_parent
    if wanted.status is JobStatus.QUEUED:
        return _statements.list_queued_jobs
    if wanted.status is JobStatus.RUNNING:
        return _statements.list_running_jobs
    if wanted.status is not None:
        return _statements.list_ended_jobs
    if wanted.kind is not None:
        return _statements.list_jobs_by_kind
    if wanted.lane is not None:
        return _statements.list_jobs_by_lane
    return _statements.list_jobs
