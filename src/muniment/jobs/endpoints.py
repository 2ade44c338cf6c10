"""The jobs of the caller's organization, and lanes for the operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, OpenAPIType, Operation, Schema
from litestar.params import FromPath, FromQuery, QueryParameter, SkipValidation
from litestar.response import Stream

from muniment.db import Database, TenantScope, UnitOfWork
from muniment.jobs.control.change import cancel_job as cancel
from muniment.jobs.control.change import retry_job as retry
from muniment.jobs.control.lanes import list_lanes as states_of_lanes
from muniment.jobs.control.lanes import pause_lane as pause
from muniment.jobs.control.lanes import resume_lane as resume
from muniment.jobs.control.oversight import Oversight
from muniment.jobs.control.schemas import JobStatistics, JobTimeseries, Lanes, LaneState
from muniment.jobs.control.spans import parse_span
from muniment.jobs.control.statistics import job_statistics as statistics
from muniment.jobs.control.statistics import job_timeseries as timeseries
from muniment.jobs.events import JobEvents
from muniment.jobs.events.stream import job_event_stream
from muniment.jobs.listing import JobFilter, find_job, job_detail
from muniment.jobs.listing import list_jobs as page_of_jobs
from muniment.jobs.schemas import JobAnswer, JobDetail, JobPage, JobStatus
from muniment.jobs.task import Lane

Kind = Annotated[str | None, QueryParameter(max_length=100, pattern=r"^[a-z0-9_.]+$")]
Window = Annotated[
    str,
    QueryParameter(
        max_length=20, description="Back from now, at most 90 days, like `15m`, `24h` or `7d`."
    ),
]


@dataclass
class _EventStream(Operation):
    """Describes what a stream yields; the framework would describe a file."""

    def __post_init__(self) -> None:
        told = (self.responses or {}).get("200")
        if isinstance(told, OpenAPIResponse):
            text = Schema(type=OpenAPIType.STRING)
            event = Schema(
                type=OpenAPIType.OBJECT,
                description="One event of the stream; `data` is the job as JSON.",
                properties={
                    "id": text,
                    "event": Schema(type=OpenAPIType.STRING, enum=["status", "progress", "end"]),
                    "data": text,
                },
            )
            told.content = {"text/event-stream": OpenAPIMediaType(schema=event)}


@get(
    "/v1/jobs",
    action="jobs.read",
    reads="replica",
    tags=["jobs"],
    summary="List jobs, newest first",
)
async def list_jobs(
    *,
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    cursor_secret: NamedDependency[SkipValidation[bytes]],
    status: FromQuery[JobStatus | None] = None,
    kind: Kind = None,
    lane: FromQuery[Lane | None] = None,
    since: Annotated[
        datetime | None, QueryParameter(description="Only jobs created at this time or later.")
    ] = None,
    parent_id: Annotated[
        UUID | None, QueryParameter(description="Only the children of this job.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    cursor: Annotated[
        str | None, QueryParameter(description="`next_cursor` of the page before.")
    ] = None,
) -> JobPage:
    """Filters combine; all are optional."""
    return await page_of_jobs(
        uow,
        JobFilter(status, kind, lane, since, parent_id),
        limit=limit,
        cursor=cursor,
        secret=cursor_secret,
    )


@get(
    "/v1/jobs/stats",
    action="jobs.read",
    reads="replica",
    tags=["jobs"],
    summary="Show how jobs fared",
)
async def job_statistics(
    *,
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    window: Window = "24h",
    kind: Kind = None,
    lane: FromQuery[Lane | None] = None,
) -> JobStatistics:
    """Counts, rates, failure rate and percentiles of duration and waiting, overall and by kind."""
    return await statistics(uow, parse_span(window), kind=kind, lane=lane)


@get(
    "/v1/jobs/timeseries",
    action="jobs.read",
    reads="replica",
    tags=["jobs"],
    summary="Show how jobs fared over time",
)
async def job_timeseries(
    *,
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    window: Window = "24h",
    bucket: Annotated[
        str, QueryParameter(max_length=20, description="Length of a bucket; at most 2,000 fit.")
    ] = "1h",
    kind: Kind = None,
    lane: FromQuery[Lane | None] = None,
) -> JobTimeseries:
    """One item a bucket, oldest first, also where nothing happened; buckets begin in UTC."""
    return await timeseries(
        uow, parse_span(window), parse_span(bucket, "bucket"), kind=kind, lane=lane
    )


@get("/v1/jobs/{job_id:uuid}", action="jobs.read", tags=["jobs"], summary="Show a job")
async def get_job(
    uow: NamedDependency[SkipValidation[UnitOfWork]], job_id: FromPath[UUID]
) -> JobDetail:
    """How the job and its children stand, how far and how fast they come, and why it failed."""
    return await job_detail(uow, job_id)


@get(
    "/v1/jobs/{job_id:uuid}/events",
    action="jobs.read",
    tags=["jobs"],
    summary="Follow a job",
    operation_class=_EventStream,
)
async def follow_job(
    *,
    database: NamedDependency[SkipValidation[Database]],
    tenant: NamedDependency[SkipValidation[TenantScope]],
    job_events: NamedDependency[SkipValidation[JobEvents]],
    job_id: FromPath[UUID],
) -> Stream:
    """Server-sent events: the state now, each change of the job or its children, and the `end`.

    Several changes within a quarter of a second are one event. A stream lasts 15 minutes at
    most; an EventSource then comes back by itself.
    """
    async with database.unit_of_work(tenant, read_only=True) as work:
        await find_job(work, job_id)
    job_events.require_room()
    return Stream(
        job_event_stream(job_events, tenant, job_id),
        media_type="text/event-stream",
        # Proxies would collect events until a buffer is full.
        headers={"X-Accel-Buffering": "no"},
    )


@post(
    "/v1/jobs/{job_id:uuid}/cancel",
    action="jobs.manage",
    tags=["jobs"],
    summary="Cancel a job",
    status_code=202,
    responses={
        200: ResponseSpec(JobAnswer, generate_examples=False, description="Cancelled already")
    },
)
async def cancel_job(
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    job_oversight: NamedDependency[SkipValidation[Oversight]],
    job_id: FromPath[UUID],
) -> Response[JobAnswer]:
    """With its unfinished descendants: at once what waits, within seconds what runs.

    Answers 200 when the job is cancelled already.
    """
    done = await cancel(uow, job_id, job_oversight)
    return _answer(done.job.id, JobAnswer(done.job), 202 if done.pending else 200)


@post(
    "/v1/jobs/{job_id:uuid}/retry",
    action="jobs.manage",
    tags=["jobs"],
    summary="Retry a job",
    status_code=202,
)
async def retry_job(
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    job_oversight: NamedDependency[SkipValidation[Oversight]],
    job_id: FromPath[UUID],
) -> Response[JobAnswer]:
    """Queue a job that failed or was cancelled again, under its id, with all of its attempts."""
    job = await retry(uow, job_id, job_oversight)
    return _answer(job.id, JobAnswer(job), 202)


@get("/v1/admin/lanes", tags=["operator"], summary="Show the lanes")
async def list_lanes(operator_uow: NamedDependency[SkipValidation[UnitOfWork]]) -> Lanes:
    """What waits and runs in each, of all organizations, who serves it, and if it is paused."""
    return Lanes(await states_of_lanes(operator_uow))


@post(
    "/v1/admin/lanes/{lane:str}/pause",
    tags=["operator"],
    summary="Pause a lane",
    status_code=200,
)
async def pause_lane(
    operator_uow: NamedDependency[SkipValidation[UnitOfWork]],
    operator: NamedDependency[str],
    lane: FromPath[Lane],
) -> LaneState:
    """Nothing more is started in it; what runs may finish, and what comes waits."""
    return await pause(operator_uow, lane, operator)


@post(
    "/v1/admin/lanes/{lane:str}/resume",
    tags=["operator"],
    summary="Resume a lane",
    status_code=200,
)
async def resume_lane(
    operator_uow: NamedDependency[SkipValidation[UnitOfWork]],
    operator: NamedDependency[str],
    lane: FromPath[Lane],
) -> LaneState:
    """Let a paused lane start jobs again."""
    return await resume(operator_uow, lane, operator)


def _answer(job_id: UUID, answer: JobAnswer, status: int) -> Response[JobAnswer]:
    return Response(answer, status_code=status, headers={"Location": f"/v1/jobs/{job_id}"})


handlers = [
    list_jobs,
    job_statistics,
    job_timeseries,
    get_job,
    follow_job,
    cancel_job,
    retry_job,
]
operator_handlers = [list_lanes, pause_lane, resume_lane]
