"""When a record was changed last, as a cell tells it."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

import pyarrow as pa

from muniment.reconcile.cleaning.changes import Changes
from muniment.reconcile.cleaning.dates import Dates
from muniment.reconcile.inference.plan import Plan


@lru_cache(maxsize=10_000)
def moment(text: str, date_format: str) -> dt.datetime | None:
    """Return the moment that a cell names, or None if it names none.

    Args:
        text: as it stands in the source.
        date_format: how the dates of its column are written, as `Column.date_format` tells; it
            says whether the day or the month comes first.

    One that names no zone is taken for UTC.
    """
    if "-" not in text:
        # Eight digits may begin with the day: those are not what ISO 8601 takes them for.
        return _day(text, date_format)
    try:
        found = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return _day(text, date_format)
    return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)


def _day(text: str, date_format: str) -> dt.datetime | None:
    day, month = date_format.find("%d"), date_format.find("%m")
    order = "ymd" if date_format.startswith("%Y") else "mdy" if 0 <= month < day else "dmy"
    plan = Plan("recency", date_order=order, compact_dates=True)
    values = pa.array([text.strip()], pa.string())
    days, _ = Dates(plan).clean(values, Changes())
    found: dt.date | None = days[0].as_py()
    return None if found is None else dt.datetime.combine(found, dt.time(), dt.UTC)
