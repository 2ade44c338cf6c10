"""The jobs of the caller's organization."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter, SkipValidation

from muniment.db import UnitOfWork
from muniment.jobs.listing import JobFilter, find_job
from muniment.jobs.listing import list_jobs as page_of_jobs
from muniment.jobs.schemas import Job, JobPage, JobStatus
from muniment.jobs.task import Lane


@get("/v1/jobs", action="jobs.read", tags=["jobs"], summary="List jobs, newest first")
async def list_jobs(
    *,
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    cursor_secret: NamedDependency[SkipValidation[bytes]],
    status: FromQuery[JobStatus | None] = None,
    kind: Annotated[str | None, QueryParameter(max_length=100, pattern=r"^[a-z0-9_.]+$")] = None,
    lane: FromQuery[Lane | None] = None,
    since: Annotated[
        datetime | None, QueryParameter(description="Only jobs created at this time or later.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    cursor: Annotated[
        str | None, QueryParameter(description="`next_cursor` of the page before.")
    ] = None,
) -> JobPage:
    """Filters combine; all are optional."""
    return await page_of_jobs(
        uow,
        JobFilter(status, kind, lane, since),
        limit=limit,
        cursor=cursor,
        secret=cursor_secret,
    )


@get("/v1/jobs/{job_id:uuid}", action="jobs.read", tags=["jobs"], summary="Show a job")
async def get_job(uow: NamedDependency[SkipValidation[UnitOfWork]], job_id: FromPath[UUID]) -> Job:
    """How the job stands, how far it has come, and why it failed if it did."""
    return await find_job(uow, job_id)


handlers = [list_jobs, get_job]
