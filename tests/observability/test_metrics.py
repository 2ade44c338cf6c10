"""Metrics: real, bounded, and in a format that Prometheus reads."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from muniment.db import Database
from muniment.observability.job_watch import JobWatch
from muniment.observability.metrics import Metrics
from muniment.observability.request_record import StatementLimits


@dataclass
class Claim:
    """An attempt at a job, as a worker claims it."""

    kind: str
    lane: str
    waited: timedelta


def samples(metrics: Metrics) -> dict[str, float]:
    """Return every sample by its name and labels."""
    text = metrics.render("text/plain")[0].decode()
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_fall_into_buckets_by_route_method_and_status() -> None:
    metrics = Metrics("api")
    for seconds in (0.002, 0.3):
        metrics.requests.began()
        metrics.requests.ended("/v1/jobs", "GET", 200, seconds)
    metrics.requests.began()
    metrics.requests.ended("/v1/jobs", "GET", 404, 0.001)
    found = samples(metrics)
    name = "muniment_http_request_duration_seconds"
    assert found[f"{name}_count GET /v1/jobs 2xx"] == 2
    assert found[f"{name}_sum GET /v1/jobs 2xx"] == pytest.approx(0.302)
    assert found[f"{name}_bucket 0.0025 GET /v1/jobs 2xx"] == 1
    assert found[f"{name}_count GET /v1/jobs 4xx"] == 1
    assert found["muniment_http_requests_in_progress"] == 0


def test_number_of_series_does_not_grow_with_traffic() -> None:
    metrics = Metrics("api")
    limits = StatementLimits()

    def traffic(requests: int) -> None:
        for number in range(requests):
            made_up = f"MADE-UP-{number % 5000}"
            metrics.requests.began()
            # The observer knows no path that no route matches by any other name.
            metrics.requests.ended("(unmatched)", made_up, 404, 0.001)
            metrics.requests.sent("(unmatched)", number)
            metrics.statements.ran("jobs.list_jobs", 0.001, failed=False)
            attempt = Claim(made_up, "fast", timedelta(seconds=1))
            metrics.jobs.ended(attempt, "failed", 0.1, f"code_{number % 5000}")
            with JobWatch(metrics, limits).attempt(attempt):
                pass
            metrics.outside.called(made_up, "ok", 0.1)
            metrics.conversions.file_ended(f"made/up-{number % 5000}", "ok", 0.1)

    traffic(5000)
    before = len(samples(metrics))
    traffic(100_000)
    assert len(samples(metrics)) == before < 20_000


def test_statements_are_timed_and_failures_counted() -> None:
    metrics = Metrics("worker")
    metrics.statements.ran("jobs.list_jobs", 0.004, failed=False)
    metrics.statements.ran("jobs.list_jobs", 0.004, failed=True)
    found = samples(metrics)
    assert found["muniment_db_statement_duration_seconds_count jobs.list_jobs"] == 2
    assert found["muniment_db_statement_errors_total jobs.list_jobs"] == 1


def test_process_metrics_are_real() -> None:
    found = samples(Metrics("worker"))
    process = psutil.Process(os.getpid())
    assert found["process_resident_memory_bytes"] == pytest.approx(
        process.memory_info().rss, rel=0.2
    )
    assert 0 < found["process_cpu_seconds_total"] < 100_000
    assert found["process_start_time_seconds"] == pytest.approx(process.create_time(), abs=1)
    assert found["process_threads"] >= 1
    assert found["process_open_fds"] > 2
    assert any(name.startswith("muniment_build_info") and "worker" in name for name in found)


async def test_pools_are_counted(database: Database) -> None:
    metrics = Metrics("api")
    metrics.pools.watch("app", database.pool)
    async with database.system():
        busy = samples(metrics)
    free = samples(metrics)
    assert (busy["muniment_db_pool_size app"], busy["muniment_db_pool_idle app"]) == (1, 0)
    assert (free["muniment_db_pool_size app"], free["muniment_db_pool_idle app"]) == (1, 1)
    assert (busy["muniment_db_pool_saturation app"], free["muniment_db_pool_saturation app"]) == (
        0.2,
        0,
    )
    assert free["muniment_db_pool_max app"] == 5
    assert free["muniment_db_pool_acquire_duration_seconds_count app"] == 1


async def test_those_who_wait_for_a_connection_are_counted(clone) -> None:  # type: ignore[no-untyped-def]
    metrics = Metrics("api")
    async with clone.open(pool_size=1) as database:
        metrics.pools.watch("app", database.pool)

        async def use() -> None:
            async with database.system():
                pass

        async with database.system():
            others = [asyncio.create_task(use()) for _ in range(3)]
            while database.pool.waiting < 3:  # noqa: ASYNC110  # it is no event
                await asyncio.sleep(0)
            waiting = samples(metrics)["muniment_db_pool_waiting app"]
        await asyncio.gather(*others)
        found = samples(metrics)
    assert (waiting, found["muniment_db_pool_waiting app"]) == (3, 0)
    assert found["muniment_db_pool_acquire_duration_seconds_count app"] == 4


def test_each_set_of_metrics_is_its_own() -> None:
    one, other = Metrics("api"), Metrics("api")
    one.statements.ran("jobs.list_jobs", 0.1, failed=False)
    assert "muniment_db_statement_duration_seconds_count jobs.list_jobs" not in samples(other)


def test_openmetrics_is_there_for_who_asks() -> None:
    body, media_type = Metrics("api").render("application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
