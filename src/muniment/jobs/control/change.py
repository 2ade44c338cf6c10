"""Cancel a job with what came of it, or have it tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from muniment.db import UnitOfWork, load_statements
from muniment.jobs.control.oversight import Oversight
from muniment.jobs.errors import EqualJobWaits, JobHasEnded, JobNotFound, JobNotRetryable
from muniment.jobs.listing import find_job
from muniment.jobs.schemas import Job, JobStatus

_statements = load_statements("muniment.jobs.control")


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a request to cancel did."""

    job: Job
    """As it is now."""
    ended: int
    """How many jobs, it and its descendants, are cancelled with it."""
    asked: int
    """How many run and were asked to stop."""

    @property
    def pending(self) -> bool:
        """Whether something was done, rather than everything found cancelled before."""
        return bool(self.ended or self.asked)


async def cancel_job(work: UnitOfWork, job_id: UUID, oversight: Oversight) -> Cancelled:
    """Cancel a job and its unfinished descendants: at once what waits, within 2 s what runs.

    To cancel what is cancelled does nothing. A parent that has ended can still be cancelled for
    the sake of its children.

    Raises:
        JobNotFound: the organization (or the caller's workspace) has no such job.
        MunimentError: the caller may not, see `Oversight.require`.
        JobHasEnded: the job succeeded or failed, and no descendant is unfinished.
    """
    before = await _permitted(work, job_id, oversight)
    row = await _statements.cancel_jobs(work, job_id=job_id, workspace_id=work.scope.workspace_id)
    done = Cancelled(await find_job(work, job_id), row["ended"], row["asked"])
    if done.pending:
        descendants = done.ended + done.asked - (not before.status.final)
        told: dict[str, Any] = {"status": done.job.status, "descendants": descendants}
        await oversight.record(
            work, "job.cancelled", job_id, _told(before), told | {"kind": before.kind}
        )
    elif done.job.status is not JobStatus.CANCELLED:
        raise JobHasEnded(f"The job has {done.job.status}: there is nothing to cancel.")
    return done


async def retry_job(work: UnitOfWork, job_id: UUID, oversight: Oversight) -> Job:
    """Queue a job that failed or was cancelled again, under its id, with all of its attempts.

    Raises:
        JobNotFound: the organization (or the caller's workspace) has no such job.
        MunimentError: the caller may not, see `Oversight.require`.
        JobNotRetryable: it has not failed and was not cancelled.
        EqualJobWaits: a job of the same dedupe key is queued; the transaction cannot go on.
    """
    before = await _permitted(work, job_id, oversight)
    try:
        queued = await _statements.retry_job(
            work, job_id=job_id, workspace_id=work.scope.workspace_id
        )
    except asyncpg.UniqueViolationError as error:
        raise EqualJobWaits from error
    if not queued:
        raise JobNotRetryable(
            f"Only a job that failed or was cancelled can be tried again; this one is "
            f"{before.status}."
        )
    after = await find_job(work, job_id)
    await oversight.record(work, "job.retried", job_id, _told(before), {"status": after.status})
    return after


async def _permitted(work: UnitOfWork, job_id: UUID, oversight: Oversight) -> Job:
    row = await _statements.workspace_of_job(
        work, job_id=job_id, workspace_id=work.scope.workspace_id
    )
    if row is None:
        raise JobNotFound
    if row["workspace_id"] is not None:
        oversight.require(work, row["workspace_id"])
    return await find_job(work, job_id)


def _told(job: Job) -> dict[str, Any]:
    code = None if job.error is None else job.error.code
    return {"status": job.status, "kind": job.kind, "attempts": job.attempts, "error": code}
