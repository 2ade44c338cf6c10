"""Figures of an organization's jobs, each answer one statement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from muniment.db import UnitOfWork, load_statements
from muniment.jobs.control.schemas import (
    Figures,
    FiguresOfKind,
    JobBucket,
    JobStatistics,
    JobTimeseries,
    Times,
    Waiting,
)
from muniment.jobs.control.spans import Buckets
from muniment.jobs.task import Lane

_statements = load_statements("muniment.jobs.control")


async def job_statistics(
    work: UnitOfWork,
    window: timedelta,
    *,
    kind: str | None = None,
    lane: Lane | None = None,
    now: datetime | None = None,
) -> JobStatistics:
    """Return the figures of jobs that ended in the last `window`, overall and by kind."""
    until = now or datetime.now(UTC)
    since = until - window
    rows = await _statements.statistics(
        work,
        since=since,
        until=until,
        kind=kind,
        lane=lane,
        workspace_id=work.scope.workspace_id,
    )
    overall = next(row for row in rows if row["kind"] is None)
    return JobStatistics(
        since,
        until,
        window.total_seconds(),
        Figures(**_figures(overall, window)),
        [
            FiguresOfKind(kind=row["kind"], **_figures(row, window))
            for row in rows
            if row["kind"] is not None
        ],
    )


async def job_timeseries(
    work: UnitOfWork,
    window: timedelta,
    bucket: timedelta,
    *,
    kind: str | None = None,
    lane: Lane | None = None,
    now: datetime | None = None,
) -> JobTimeseries:
    """Return what happened in each bucket of the last `window`, oldest first, none left out.

    Jobs count as enqueued by their ids, which hold the millisecond in which they were made.

    Raises:
        InvalidTimeSpan: there would be too many buckets.
    """
    cut = Buckets.cut(window, bucket, now or datetime.now(UTC))
    rows = await _statements.timeseries(
        work,
        since=cut.since,
        until=cut.until,
        # As seconds: in a zone whose clocks change, days of an interval are not all of one length.
        seconds=bucket.total_seconds(),
        buckets=cut.count,
        kind=kind,
        lane=lane,
        workspace_id=work.scope.workspace_id,
    )
    return JobTimeseries(
        cut.since, cut.until, bucket.total_seconds(), [_bucket(row) for row in rows]
    )


def _figures(row: asyncpg.Record, window: timedelta) -> dict[str, Any]:
    succeeded, failed, cancelled = row["succeeded"], row["failed"], row["cancelled"]
    per_second = (succeeded + failed + cancelled) / window.total_seconds()
    return {
        "queued": row["queued"],
        "running": row["running"],
        "succeeded": succeeded,
        "failed": failed,
        "cancelled": cancelled,
        "per_second": per_second,
        "per_minute": per_second * 60,
        "failure_rate": failed / (failed + succeeded) if failed + succeeded else None,
        "duration": _times(row["ran_mean"], row["ran"]),
        "waiting": Waiting(_seconds(row["waited_mean"]), _seconds(row["waited_max"])),
    }


def _times(mean: float | None, found: list[int] | None) -> Times:
    p50, p95, p99, longest = found or (None, None, None, None)
    return Times(_seconds(mean), *map(_seconds, (p50, p95, p99, longest)))


def _bucket(row: asyncpg.Record) -> JobBucket:
    return msgspec.convert(
        {
            "at": row["at"],
            "enqueued": row["enqueued"],
            "succeeded": row["succeeded"],
            "failed": row["failed"],
            "cancelled": row["cancelled"],
            "mean_seconds": _seconds(row["ran_mean"]),
            "p95_seconds": _seconds(row["ran_p95"]),
        },
        JobBucket,
    )


def _seconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1_000_000
