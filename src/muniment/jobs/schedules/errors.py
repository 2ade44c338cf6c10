"""What can go wrong with schedules."""

from __future__ import annotations

from muniment.errors import NotFound, ValidationFailed


class ScheduleNotFound(NotFound):
    """There is no such schedule here."""

    code = "schedule_not_found"
    title = "Schedule not found"


class InvalidSchedule(ValidationFailed):
    """The schedule cannot be understood, or never comes due."""

    code = "invalid_schedule"
    title = "Invalid schedule"
