"""Schedules of an organization: put, list, change, remove."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from msgspec import UNSET

from muniment.db import UnitOfWork, WorkspaceId, load_statements, new_id
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.jobs.control.oversight import Oversight
from muniment.jobs.schedules.errors import ScheduleNotFound
from muniment.jobs.schedules.schemas import Schedule, ScheduleChange, SchedulePage
from muniment.jobs.schedules.timing import next_time
from muniment.jobs.task import Payload, Task

_statements = load_statements("muniment.jobs.schedules")

_LISTING = "schedules"
_FIRST = UUID(int=0)


async def put_schedule(
    work: UnitOfWork,
    name: str,
    task: Task[Payload],
    payload: Payload,
    *,
    cron: str,
    timezone: str = "UTC",
    workspace_id: WorkspaceId | None = None,
    group_id: UUID | None = None,
) -> Schedule:
    """Have a job enqueued again and again, or change how often; `name` tells which is meant.

    What would have come due while no worker ran is made up for once. A job that is still queued
    or under way when the next comes due stands for it.

    Raises:
        InvalidSchedule: expression or time zone cannot be understood, or it never comes due.
    """
    row = await _statements.put_schedule(
        work,
        schedule_id=new_id(),
        workspace_id=workspace_id,
        name=name,
        kind=task.kind,
        payload=msgspec.to_builtins(payload),
        group_id=group_id,
        cron=cron,
        timezone=timezone,
        next_at=next_time(cron, timezone, datetime.now(UTC)),
    )
    await _statements.announce_schedules(work)
    return Schedule.from_row(row)


async def list_schedules(
    work: UnitOfWork, *, limit: int, cursor: str | None, secret: bytes
) -> SchedulePage:
    """Return a page of schedules, oldest first.

    Raises:
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    rows = await _statements.list_schedules(
        work,
        after=_FIRST if cursor is None else decode_cursor(secret, _LISTING, cursor, UUID),
        workspace_id=work.scope.workspace_id,
        limit=limit + 1,
    )
    items = [Schedule.from_row(row) for row in rows[:limit]]
    more = len(rows) > limit
    return SchedulePage(items, encode_cursor(secret, _LISTING, items[-1].id) if more else None)


async def change_schedule(
    work: UnitOfWork, schedule_id: UUID, change: ScheduleChange, oversight: Oversight
) -> Schedule:
    """Change when a schedule comes due, or whether it does, and return it.

    Raises:
        ScheduleNotFound: the organization (or the caller's workspace) has no such schedule.
        InvalidSchedule: expression or time zone cannot be understood, or it never comes due.
    """
    row = await _statements.get_schedule(
        work, schedule_id=schedule_id, workspace_id=work.scope.workspace_id
    )
    if row is None:
        raise ScheduleNotFound
    before = Schedule.from_row(row)
    cron = before.cron if change.cron is UNSET else change.cron
    timezone = before.timezone if change.timezone is UNSET else change.timezone
    row = await _statements.change_schedule(
        work,
        schedule_id=schedule_id,
        cron=cron,
        timezone=timezone,
        enabled=before.enabled if change.enabled is UNSET else change.enabled,
        next_at=next_time(cron, timezone, datetime.now(UTC)),
    )
    await _statements.announce_schedules(work)
    after = Schedule.from_row(row)
    await oversight.record(work, "schedule.changed", schedule_id, _told(before), _told(after))
    return after


async def remove_schedule(work: UnitOfWork, schedule_id: UUID, oversight: Oversight) -> None:
    """Delete a schedule; jobs that it has enqueued stay.

    Raises:
        ScheduleNotFound: the organization (or the caller's workspace) has no such schedule.
    """
    name = await _statements.remove_schedule(
        work, schedule_id=schedule_id, workspace_id=work.scope.workspace_id
    )
    if name is None:
        raise ScheduleNotFound
    await oversight.record(work, "schedule.removed", schedule_id, {"name": name}, {})


def _told(schedule: Schedule) -> dict[str, object]:
    return {
        "name": schedule.name,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "enabled": schedule.enabled,
    }
