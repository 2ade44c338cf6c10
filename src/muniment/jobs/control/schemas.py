"""Figures of jobs, and lanes, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from muniment.jobs.task import Lane


class Times(Struct, frozen=True):
    """Seconds that jobs took; none where there was no job.

    A percentile is the time of a job that happened: the least that so many did not exceed.
    """

    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


class Waiting(Struct, frozen=True):
    """Seconds that jobs waited; none where there was no job."""

    mean: float | None
    max: float | None


class Figures(Struct, frozen=True):
    """How jobs fared in a span of time."""

    queued: Annotated[int, Meta(description="Wait now.")]
    running: Annotated[int, Meta(description="Run now.")]
    succeeded: Annotated[int, Meta(description="Ended so in the window, as the next two.")]
    failed: int
    cancelled: int
    per_second: Annotated[float, Meta(description="Jobs that ended, over the whole window.")]
    per_minute: float
    failure_rate: Annotated[
        float | None, Meta(description="Failed of those that failed or succeeded, from 0 to 1.")
    ]
    duration: Annotated[Times, Meta(description="Of the last attempt of jobs that ended.")]
    waiting: Annotated[Waiting, Meta(description="From when that attempt was due to its start.")]


class FiguresOfKind(Figures, frozen=True, kw_only=True):
    """The same of one kind."""

    kind: str


class JobStatistics(Struct, frozen=True):
    """Figures of the jobs that ended in the window, and of those that have not ended."""

    since: datetime
    until: datetime
    window_seconds: float
    overall: Figures
    kinds: list[FiguresOfKind]


class JobBucket(Struct, frozen=True):
    """What happened in one bucket of time."""

    at: Annotated[datetime, Meta(description="Its beginning.")]
    enqueued: int
    succeeded: int
    failed: int
    cancelled: int
    mean_seconds: Annotated[float | None, Meta(description="Duration of jobs that ended in it.")]
    p95_seconds: float | None


class JobTimeseries(Struct, frozen=True):
    """Buckets of one length, oldest first, with none left out; the last one is under way."""

    since: datetime
    until: datetime
    bucket_seconds: float
    buckets: list[JobBucket]


class LaneState(Struct, frozen=True):
    """How a lane stands, of all organizations."""

    lane: Lane
    waiting: int
    delayed: Annotated[int, Meta(description="Not due yet.")]
    running: int
    oldest_seconds: Annotated[
        float | None, Meta(description="For how long the job that is due longest has waited.")
    ]
    workers: Annotated[int, Meta(description="Worker processes that serve it now.")]
    paused_at: datetime | None
    paused_by: str | None


class Lanes(Struct, frozen=True):
    """Every lane."""

    items: list[LaneState]
