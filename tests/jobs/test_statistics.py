"""Statistics and time series: the figures are those of a slow count, in one statement."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from statistics import fmean
from typing import Any

import asyncpg
import pytest

from muniment.db import (
    Database,
    TenantScope,
    first_id_at,
    load_statements,
    observe_statements,
)
from muniment.jobs import Lane
from muniment.jobs.control.schemas import Figures, JobBucket, Times, Waiting
from muniment.jobs.control.spans import Buckets, parse_span
from muniment.jobs.control.statistics import job_statistics, job_timeseries
from muniment.jobs.errors import InvalidTimeSpan
from tests.jobs.past_jobs import LANE_OF, Past, past_jobs, write_past
from tests.jobs.test_listing import ReadsOf

NOW = datetime(2026, 11, 22, 9, 17, 3, 250_000, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def owner(clone: Any) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(clone.installation.owner_dsn)
    yield connection
    await connection.close()


# --- the same figures, slowly --------------------------------------------------------------------


def percentile(values: list[float], fraction: float) -> float:
    """The least value that so many did not exceed."""
    return sorted(values)[math.ceil(fraction * len(values)) - 1]


def waiting(values: list[float]) -> Waiting:
    return Waiting(fmean(values), max(values)) if values else Waiting(None, None)


def times(values: list[float]) -> Times:
    if not values:
        return Times(None, None, None, None, None)
    p50, p95, p99 = (percentile(values, part) for part in (0.5, 0.95, 0.99))
    return Times(fmean(values), p50, p95, p99, max(values))


def figures(jobs: list[Past], since: datetime, until: datetime) -> Figures:
    ended = [job for job in jobs if job.finished_at and since <= job.finished_at < until]
    status = [job.status for job in ended]
    succeeded, failed = status.count("succeeded"), status.count("failed")
    rate = len(ended) / (until - since).total_seconds()
    return Figures(
        sum(job.status == "queued" for job in jobs),
        0,
        succeeded,
        failed,
        status.count("cancelled"),
        rate,
        rate * 60,
        failed / (succeeded + failed) if succeeded + failed else None,
        times([job.ran for job in ended if job.ran is not None]),
        waiting([job.waited for job in ended if job.waited is not None]),
    )


def bucket_of(jobs: list[Past], since: datetime, until: datetime) -> JobBucket:
    ended = [job for job in jobs if job.finished_at and since <= job.finished_at < until]
    status = [job.status for job in ended]
    ran = times([job.ran for job in ended if job.ran is not None])
    return JobBucket(
        since,
        sum(since <= job.queued_at < until for job in jobs),
        status.count("succeeded"),
        status.count("failed"),
        status.count("cancelled"),
        ran.mean,
        ran.p95,
    )


def same(found: Any, wanted: Any) -> bool:
    """Equal, but for the last digits of floating-point numbers."""
    if isinstance(wanted, float) and isinstance(found, float):
        return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-6)
    if isinstance(wanted, (Figures, Times, Waiting, JobBucket)):
        fields = wanted.__struct_fields__
        return all(same(getattr(found, name), getattr(wanted, name)) for name in fields)
    return bool(found == wanted)


# --- statistics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [timedelta(minutes=10), HOUR, DAY, 30 * DAY])
@pytest.mark.parametrize("lane", [None, Lane.CONVERT])
async def test_figures_are_those_of_a_slow_count(
    database: Database,
    scope: TenantScope,
    owner: asyncpg.Connection[Any],
    window: timedelta,
    lane: Lane | None,
) -> None:
    jobs = past_jobs(600, NOW, 2 * DAY)
    await write_past(owner, scope, jobs)
    jobs = [job for job in jobs if lane in (None, LANE_OF[job.kind])]
    async with database.unit_of_work(scope) as work:
        found = await job_statistics(work, window, lane=lane, now=NOW)
    assert (found.since, found.until) == (NOW - window, NOW)
    assert same(found.overall, figures(jobs, NOW - window, NOW))
    kinds = {each.kind: each for each in found.kinds}
    assert set(kinds) <= set(LANE_OF)
    for kind in {job.kind for job in jobs}:
        wanted = figures([job for job in jobs if job.kind == kind], NOW - window, NOW)
        assert kind not in kinds or same(kinds[kind], wanted)
        assert kind in kinds or wanted.queued + wanted.succeeded + wanted.failed == 0


async def test_no_jobs_have_no_times(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        found = await job_statistics(work, DAY)
        series = await job_timeseries(work, DAY, HOUR)
    times = Times(None, None, None, None, None)
    expected = Figures(0, 0, 0, 0, 0, 0.0, 0.0, None, times, Waiting(None, None))
    assert found.overall == expected
    assert found.kinds == []
    assert len(series.buckets) == 24
    assert all(bucket == JobBucket(bucket.at, 0, 0, 0, 0, None, None) for bucket in series.buckets)


async def test_one_kind_only(
    database: Database, scope: TenantScope, owner: asyncpg.Connection[Any]
) -> None:
    jobs = past_jobs(200, NOW, DAY)
    await write_past(owner, scope, jobs)
    jobs = [job for job in jobs if job.kind == "tests.b"]
    async with database.unit_of_work(scope) as work:
        found = await job_statistics(work, DAY, kind="tests.b", now=NOW)
        series = await job_timeseries(work, DAY, HOUR, kind="tests.b", now=NOW)
        none = await job_statistics(work, DAY, kind="tests.b", lane=Lane.FAST, now=NOW)
    assert same(found.overall, figures(jobs, NOW - DAY, NOW))
    assert [each.kind for each in found.kinds] == ["tests.b"]
    assert sum(bucket.enqueued for bucket in series.buckets) == len(
        [job for job in jobs if series.since <= job.queued_at < series.until]
    )
    assert none.overall.succeeded == 0


async def test_each_answer_is_one_statement(database: Database, scope: TenantScope) -> None:
    names: list[str] = []
    async with database.unit_of_work(scope) as work:
        with observe_statements(lambda name, _seconds, _error: names.append(name)):
            await job_statistics(work, DAY)
            await job_timeseries(work, DAY, HOUR)
    assert names == ["jobs.control.statistics", "jobs.control.timeseries"]


async def test_others_and_other_workspaces_do_not_count(
    database: Database,
    scope: TenantScope,
    other_scope: TenantScope,
    owner: asyncpg.Connection[Any],
) -> None:
    async with database.unit_of_work(scope) as work:
        workspace_id = await work.connection.fetchval("SELECT workspace_id FROM workspaces")
    limited = replace(scope, workspace_id=workspace_id)
    jobs = [past_jobs(number, NOW, DAY, seed=number) for number in (30, 20, 10)]
    for of, written in zip((scope, limited, other_scope), jobs, strict=True):
        await write_past(owner, of, written)
    for of, seen in [
        (scope, jobs[0] + jobs[1]), (limited, jobs[1]), (other_scope, jobs[2])
    ]:  # fmt: skip
        async with database.unit_of_work(of) as work:
            found = await job_statistics(work, 2 * DAY, now=NOW)
            series = await job_timeseries(work, 2 * DAY, HOUR, now=NOW)
        assert same(found.overall, figures(seen, NOW - 2 * DAY, NOW))
        assert sum(bucket.enqueued for bucket in series.buckets) == len(seen)


# --- time series ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "bucket"),
    [
        (HOUR, timedelta(minutes=1)),
        (DAY, HOUR),
        (DAY, timedelta(minutes=7)),
        (2 * DAY, DAY),
        (HOUR, HOUR),
    ],
)
async def test_buckets_are_those_of_a_slow_count(
    database: Database,
    scope: TenantScope,
    owner: asyncpg.Connection[Any],
    window: timedelta,
    bucket: timedelta,
) -> None:
    jobs = past_jobs(500, NOW, 2 * DAY)
    await write_past(owner, scope, jobs)
    async with database.unit_of_work(scope) as work:
        found = await job_timeseries(work, window, bucket, now=NOW)
    assert len(found.buckets) == math.ceil(window / bucket)
    assert found.buckets[0].at == found.since
    assert found.until - bucket <= NOW < found.until
    for each in found.buckets:
        assert same(each, bucket_of(jobs, each.at, each.at + bucket)), each.at


async def test_no_zone_and_no_clock_change_moves_a_bucket(
    database: Database, scope: TenantScope
) -> None:
    """Two days around the night when Europe's clocks go back; the session's zone is one of it."""
    now = datetime(2026, 10, 26, 0, 30, tzinfo=timezone(HOUR))
    seen = []
    for zone in ("UTC", "Europe/Berlin", "Asia/Kathmandu"):
        async with database.unit_of_work(scope) as work:
            await work.connection.execute(f"SET LOCAL timezone = '{zone}'")
            found = await job_timeseries(work, 2 * DAY, DAY, now=now)
            seen.append([bucket.at for bucket in found.buckets])
    assert seen == [[datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)]] * 3


def test_buckets_begin_at_whole_multiples() -> None:
    cut = Buckets.cut(timedelta(minutes=90), timedelta(minutes=20), NOW)
    assert cut.count == 5
    assert [cut.since.minute, cut.until.minute] == [40, 20]
    with pytest.raises(InvalidTimeSpan, match=r"2,160 buckets"):
        Buckets.cut(90 * DAY, HOUR, NOW)
    with pytest.raises(InvalidTimeSpan, match="longer than the window"):
        Buckets.cut(HOUR, DAY, NOW)


@pytest.mark.parametrize(
    ("text", "span"),
    [("90s", timedelta(seconds=90)), ("15m", timedelta(minutes=15)), ("7d", 7 * DAY)],
)
def test_spans_are_read_as_people_write_them(text: str, span: timedelta) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize(
    "text", ["", "24", "h", "1.5h", "-1h", "24 h", "1w", "91d", "59s", "9999999d", "0m", "٣d"]
)
def test_other_spans_are_refused(text: str) -> None:
    with pytest.raises(InvalidTimeSpan):
        parse_span(text)


# --- cost ----------------------------------------------------------------------------------------

FILL = """
INSERT INTO jobs (org_id, job_id, kind, lane, status, payload, max_attempts, deadline,
    error, worker_id, queued_at, started_at, finished_at)
SELECT $1, uuidv7(interval '-1 s' * (n * 30)), 'kind ' || n % 5, 'fast',
    CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'succeeded' END, '{}', 5, interval '1 minute',
    CASE WHEN n % 50 = 0 THEN '{"code": "c", "detail": "d"}'::jsonb END, $1,
    at, at + interval '1 s' * (n % 7), at + interval '1 s' * (n % 31)
FROM generate_series(1, 30000) AS n, LATERAL (SELECT now() - interval '30 s' * n) AS t (at)
"""


async def test_a_window_is_read_from_one_index_and_nothing_else(
    database: Database, scope: TenantScope, owner: asyncpg.Connection[Any]
) -> None:
    await owner.execute(FILL, scope.org_id)
    await owner.execute("VACUUM ANALYZE jobs")
    statements = load_statements("muniment.jobs.control")
    now = datetime.now(UTC)
    cut = Buckets.cut(DAY, HOUR, now)
    filters = {"kind": None, "lane": None, "workspace_id": None}
    async with database.unit_of_work(scope) as work:
        read = ReadsOf(work)
        await statements.statistics(read, since=now - DAY, until=now, **filters)
        assert "Index Only Scan using jobs_ended_by_kind" in read.plan
        assert "Seq Scan" not in read.plan
        assert read.rows_read <= 3100, read.plan  # those of the window, of 30,000
        read = ReadsOf(work)
        await statements.timeseries(
            read,
            since=cut.since,
            until=cut.until,
            seconds=3600.0,
            buckets=cut.count,
            first_id=first_id_at(cut.since),
            last_id=first_id_at(cut.until),
            **filters,
        )
        assert "Seq Scan" not in read.plan
        assert read.rows_read <= 6100, read.plan


async def test_starting_a_job_touches_no_index(
    database: Database, scope: TenantScope, owner: asyncpg.Connection[Any]
) -> None:
    """What the statistics are read from changes when a job ends, and not before."""
    indexed = await owner.fetch(
        "SELECT DISTINCT attname::text FROM pg_index, unnest(indkey) AS key"
        " JOIN pg_attribute ON attnum = key"
        " WHERE indrelid = 'jobs'::regclass AND attrelid = 'jobs'::regclass"
    )
    changed_at_start = {"status", "attempts", "worker_id", "started_at", "deadline_at"}
    assert not changed_at_start & {row["attname"] for row in indexed}
