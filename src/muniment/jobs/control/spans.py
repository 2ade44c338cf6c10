"""Spans of time as people write them, and the buckets that they are cut into."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from muniment.jobs.errors import InvalidTimeSpan

LONGEST = timedelta(days=90)
SHORTEST = timedelta(minutes=1)
MOST_BUCKETS = 2000
WRITTEN = r"^[0-9]{1,7}[smhd]$"
"""How a span is written: a whole number and its unit."""

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_span(text: str, name: str = "window") -> timedelta:
    """Return the time that is written like ``90s``, ``15m``, ``24h`` or ``7d``.

    Raises:
        InvalidTimeSpan: it is not, or is longer than 90 days or shorter than a minute; `name` is
            what the message calls it.
    """
    if re.fullmatch(WRITTEN, text) is None:
        raise InvalidTimeSpan(f"The {name} {text[:20]!r} is not written like 90s, 15m, 24h or 7d.")
    span = int(text[:-1]) * _UNITS[text[-1]]
    if not SHORTEST <= span <= LONGEST:
        raise InvalidTimeSpan(f"The {name} {text} is not between one minute and 90 days.")
    return span


@dataclass(frozen=True, slots=True)
class Buckets:
    """A span of time in buckets of one length, in UTC, so that no day is longer than another."""

    since: datetime
    bucket: timedelta
    count: int

    @property
    def until(self) -> datetime:
        """End of the last bucket."""
        return self.since + self.count * self.bucket

    @classmethod
    def cut(cls, window: timedelta, bucket: timedelta, now: datetime) -> Buckets:
        """Return buckets that begin at whole multiples of their length; the last one holds now.

        Raises:
            InvalidTimeSpan: there would be more than 2,000, or a bucket is longer than the window.
        """
        if bucket > window:
            raise InvalidTimeSpan("The bucket is longer than the window.")
        count = -(-window // bucket)
        if count > MOST_BUCKETS:
            raise InvalidTimeSpan(
                f"That would be {count:,} buckets, and {MOST_BUCKETS:,} are the most: choose a "
                "longer bucket or a shorter window."
            )
        last = _EPOCH + (now - _EPOCH) // bucket * bucket
        return cls(last - (count - 1) * bucket, bucket, count)
