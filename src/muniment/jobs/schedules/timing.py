"""When a schedule comes due, by its cron expression in its time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from muniment.jobs.schedules.errors import InvalidSchedule


def next_time(cron: str, timezone: str, after: datetime) -> datetime:
    """Return the first moment after another at which a schedule comes due, in UTC.

    Where clocks are put forward or back it is as Debian's cron has it: a job of an hour that is
    left out runs right after, one of an hour that comes twice runs once.

    Raises:
        InvalidSchedule: expression or time zone cannot be understood, or it never comes due.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidSchedule(
            f"{timezone!r} is no time zone: give an IANA name, such as Europe/Amsterdam or UTC."
        ) from error
    # Six fields would mean seconds, for which this is the wrong tool.
    if len(cron.split()) != 5:
        raise InvalidSchedule(
            f"{cron!r} is no cron expression: give five fields, such as '0 3 * * *' for each night "
            "at three (minute, hour, day of the month, month, day of the week)."
        )
    try:
        return next(CronSim(cron, after.astimezone(zone))).astimezone(UTC)
    except CronSimError as error:
        raise InvalidSchedule(f"{cron!r} is no cron expression: {error}.") from error
    except StopIteration as error:
        raise InvalidSchedule(f"{cron!r} never comes due.") from error
