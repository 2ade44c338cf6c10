"""The schedules of the caller's organization."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import delete, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation

from muniment.db import UnitOfWork
from muniment.jobs.control.oversight import Oversight
from muniment.jobs.schedules.library import change_schedule, list_schedules, remove_schedule
from muniment.jobs.schedules.schemas import Schedule, ScheduleChange, SchedulePage

Work = NamedDependency[SkipValidation[UnitOfWork]]
JobOversight = NamedDependency[SkipValidation[Oversight]]


@get("/v1/schedules", action="jobs.read", tags=["jobs"], summary="List schedules, oldest first")
async def get_schedules(
    *,
    uow: Work,
    cursor_secret: NamedDependency[SkipValidation[bytes]],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    cursor: Annotated[
        str | None, QueryParameter(description="`next_cursor` of the page before.")
    ] = None,
) -> SchedulePage:
    """What is enqueued again and again, such as the sync of a source each night."""
    return await list_schedules(uow, limit=limit, cursor=cursor, secret=cursor_secret)


@patch(
    "/v1/schedules/{schedule_id:uuid}",
    action="schedules.manage",
    tags=["jobs"],
    summary="Change a schedule",
)
async def patch_schedule(
    uow: Work,
    job_oversight: JobOversight,
    schedule_id: FromPath[UUID],
    data: JSONBody[ScheduleChange],
) -> Schedule:
    """Set when it comes due, or pause it with `enabled`; what is left out stays."""
    return await change_schedule(uow, schedule_id, data, job_oversight)


@delete(
    "/v1/schedules/{schedule_id:uuid}",
    action="schedules.manage",
    tags=["jobs"],
    summary="Remove a schedule",
)
async def delete_schedule(
    uow: Work, job_oversight: JobOversight, schedule_id: FromPath[UUID]
) -> None:
    """Jobs that it has enqueued stay."""
    await remove_schedule(uow, schedule_id, job_oversight)


handlers = [get_schedules, patch_schedule, delete_schedule]
