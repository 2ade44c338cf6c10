"""The arithmetic of a sliding window: what a rate is, and what two counts say about it."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """At most `limit` requests in `per` seconds, by the estimate that `weight` makes."""

    limit: int
    per: float

    def __post_init__(self) -> None:
        """Refuse a rate that no request could meet or no clock could measure.

        Raises:
            ValueError: the limit is below one, or the time below a millisecond.
        """
        if self.limit < 1 or not 0.001 <= self.per < math.inf:
            raise ValueError(f"at least one request in a millisecond or more, not {self}")


class Counts(NamedTuple):
    """What was admitted to one subject in the window before and in this one."""

    admitted: bool
    """Whether this request is, or when it only asks, whether it would be."""
    previous: int
    current: int
    elapsed: float
    """Seconds since this window began."""


class Verdict(msgspec.Struct, frozen=True):
    """What a limit says to one request."""

    allowed: bool
    limit: int
    per: float
    """Length of the window in seconds."""
    remaining: int
    """Requests that would still be admitted now."""
    reset_after: float
    """Seconds in which no more than `remaining` should be sent: to the end of the window, or
    when nothing remains, until one more is admitted."""
    retry_after: float
    """Seconds until one more is admitted; 0 when that is now."""
    counted: bool = True
    """False when nobody could count, so that the request was admitted unseen."""


def weight(previous: int, current: int, elapsed: float, per: float) -> float:
    """Estimate how many requests fell into the last `per` seconds.

    Those of the previous window are taken to have been spread evenly over it, so that the
    share of it that the last `per` seconds still cover counts. This is the sliding window
    counter: two numbers a subject however high the limit, and no burst of twice the limit
    around the border of two windows.
    """
    return previous * max(0.0, 1 - elapsed / per) + current


def verdict_of(rate: Rate, counts: Counts) -> Verdict:
    """Say what counts mean for a rate, this request included when it was admitted."""
    used = weight(counts.previous, counts.current, counts.elapsed, rate.per)
    remaining = max(0, math.floor(rate.limit - used))
    wait = 0.0 if remaining else _until_one_more(rate, counts)
    return Verdict(
        allowed=counts.admitted,
        limit=rate.limit,
        per=rate.per,
        remaining=remaining,
        reset_after=wait or max(0.0, rate.per - counts.elapsed),
        retry_after=wait,
    )


def unseen(rate: Rate) -> Verdict:
    """Return the verdict on a request that nobody could count: it is admitted."""
    return Verdict(True, rate.limit, rate.per, rate.limit, rate.per, 0.0, counted=False)


def _until_one_more(rate: Rate, counts: Counts) -> float:
    """Return the seconds until the estimate has room for one more, if nothing else comes."""
    room = rate.limit - 1 - counts.current
    if room >= 0:
        # The previous window must have faded until no more than `room` of it is left.
        return max(0.0, rate.per * (1 - room / counts.previous) - counts.elapsed)
    # This window has to end first, and then it fades in its turn.
    faded = 1 - (rate.limit - 1) / counts.current
    return rate.per - counts.elapsed + rate.per * faded
