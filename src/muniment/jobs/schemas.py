"""Jobs as clients see them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import asyncpg
from msgspec import Meta, Struct, structs

from muniment.jobs.progress import ProgressOfChildren
from muniment.jobs.task import Lane

Rate = Annotated[float | None, Meta(description="Units per second, lately.")]
Remaining = Annotated[
    float | None, Meta(description="At this rate; none while it is not known or nothing moves.")
]


class JobStatus(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the job has ended; only a retry starts it again."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


class JobError(Struct, frozen=True):
    """Why the last attempt of a job failed."""

    code: str
    detail: str


class JobProgress(Struct, frozen=True):
    """How far a job has come: `done` of `total` in `unit`; no total when it is not known."""

    done: int = 0
    total: int | None = None
    unit: str | None = None
    rate: Rate = None
    remaining_seconds: Remaining = None


class Job(Struct, frozen=True):
    """Work that takes time, and how it stands."""

    id: UUID
    kind: str
    lane: Lane
    status: JobStatus
    priority: Annotated[int, Meta(description="Of an organization's jobs the highest comes first.")]
    progress: JobProgress
    attempts: Annotated[int, Meta(description="Times the job was started.")]
    max_attempts: int
    error: JobError | None
    parent_id: UUID | None
    queued_at: datetime
    run_after: Annotated[datetime | None, Meta(description="Not to be started before.")]
    started_at: datetime | None
    cancel_requested: Annotated[
        bool, Meta(description="It was asked to stop, and will within seconds.")
    ]
    finished_at: datetime | None

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Job:
        """Read the columns that the statements of this room select."""
        error = row["error"]
        status = JobStatus(row["status"])
        return cls(
            id=row["job_id"],
            kind=row["kind"],
            lane=Lane(row["lane"]),
            status=status,
            priority=row["priority"],
            progress=_progress(row, running=status is JobStatus.RUNNING),
            attempts=row["attempts"],
            max_attempts=row["max_attempts"],
            error=None if error is None else JobError(error["code"], error["detail"]),
            parent_id=row["parent_id"],
            queued_at=row["queued_at"],
            run_after=row["run_after"],
            started_at=row["started_at"],
            cancel_requested=row["cancel_requested_at"] is not None,
            finished_at=row["finished_at"],
        )


def _progress(row: asyncpg.Record, *, running: bool) -> JobProgress:
    done, total, rate = row["progress_done"], row["progress_total"], row["progress_rate"]
    remaining = None
    if running and total is not None and rate:
        remaining = max(0, total - done) / rate
    return JobProgress(done, total, row["progress_unit"], rate, remaining)


class Children(Struct, frozen=True):
    """The children of a job, by status, and how far they have come together."""

    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    share: Annotated[float, Meta(description="Part of them that has ended, from 0 to 1.")]
    done: Annotated[int, Meta(description="Sum of what each has done, in its unit.")]
    total: Annotated[int, Meta(description="Sum of what each has to do, as far as known.")]
    rate: Annotated[float | None, Meta(description="Children that ended per second, lately.")]
    remaining_seconds: Remaining

    @property
    def unfinished(self) -> int:
        """How many have not ended."""
        return self.queued + self.running

    @classmethod
    def from_progress(cls, progress: ProgressOfChildren) -> Children | None:
        """Return the roll-up, or None of a job that has no children."""
        ended = progress.succeeded + progress.failed + progress.cancelled
        unfinished = progress.queued + progress.running
        if not ended + unfinished:
            return None
        return cls(
            progress.queued,
            progress.running,
            progress.succeeded,
            progress.failed,
            progress.cancelled,
            share=ended / (ended + unfinished),
            done=progress.done,
            total=progress.total,
            rate=progress.rate if unfinished else None,
            remaining_seconds=unfinished / progress.rate if unfinished and progress.rate else None,
        )


class JobDetail(Job, frozen=True):
    """A job, and how its children stand if it has any."""

    children: Children | None = None

    @property
    def settled(self) -> bool:
        """Whether the job and all of its children have ended."""
        return self.status.final and not (self.children and self.children.unfinished)

    @classmethod
    def of(cls, job: Job, children: Children | None) -> JobDetail:
        """Put a job and the roll-up of its children together."""
        return cls(**structs.asdict(job), children=children)


class JobPage(Struct, frozen=True):
    """Jobs, newest first, and the cursor of those that follow."""

    items: list[Job]
    next_cursor: str | None


class JobAnswer(Struct, frozen=True):
    """The job that a request is about."""

    job: Job
