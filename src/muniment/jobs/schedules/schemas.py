"""Schedules as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
from msgspec import UNSET, Meta, Struct, UnsetType

Cron = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="Five fields as cron understands them: minute, hour, day of the month, month, "
        "day of the week.",
        examples=["0 3 * * *"],
    ),
]
Timezone = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        description="IANA name of the time zone that the fields are in.",
        examples=["Europe/Amsterdam"],
    ),
]


class Schedule(Struct, frozen=True):
    """A job that is enqueued again and again."""

    id: UUID
    name: str
    kind: Annotated[str, Meta(description="Kind of the jobs that it enqueues.")]
    cron: Cron
    timezone: Timezone
    enabled: bool
    next_at: Annotated[datetime, Meta(description="When the next job is due.")]
    last_at: datetime | None
    last_job_id: UUID | None

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Schedule:
        """Read the columns that the statements of this room select."""
        return cls(row["schedule_id"], *list(row.values())[1:])


class ScheduleChange(Struct, frozen=True):
    """What to change; what is left out stays."""

    cron: Cron | UnsetType = UNSET
    timezone: Timezone | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class SchedulePage(Struct, frozen=True):
    """Schedules, oldest first, and the cursor of those that follow."""

    items: list[Schedule]
    next_cursor: str | None
