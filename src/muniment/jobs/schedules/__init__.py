"""Recurring jobs: what is enqueued again and again, by cron expressions."""

from muniment.jobs.schedules.library import list_schedules, put_schedule, remove_schedule
from muniment.jobs.schedules.schemas import Schedule

__all__ = ["Schedule", "list_schedules", "put_schedule", "remove_schedule"]
