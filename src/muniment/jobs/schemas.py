"""Jobs as clients see them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import asyncpg
from msgspec import Meta, Struct

from muniment.jobs.running_job import Progress
from muniment.jobs.task import Lane


class JobStatus(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobError(Struct, frozen=True):
    """Why the last attempt of a job failed."""

    code: str
    detail: str


class Job(Struct, frozen=True):
    """Work that takes time, and how it stands."""

    id: UUID
    kind: str
    lane: Lane
    status: JobStatus
    progress: Progress
    attempts: Annotated[int, Meta(description="Times the job was started.")]
    max_attempts: int
    error: JobError | None
    parent_id: UUID | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Job:
        """Read the columns that the statements of this room select."""
        error = row["error"]
        return cls(
            id=row["job_id"],
            kind=row["kind"],
            lane=Lane(row["lane"]),
            status=JobStatus(row["status"]),
            progress=Progress(row["progress_done"], row["progress_total"], row["progress_unit"]),
            attempts=row["attempts"],
            max_attempts=row["max_attempts"],
            error=None if error is None else JobError(error["code"], error["detail"]),
            parent_id=row["parent_id"],
            queued_at=row["queued_at"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
        )


class JobPage(Struct, frozen=True):
    """Jobs, newest first, and the cursor of those that follow."""

    items: list[Job]
    next_cursor: str | None
