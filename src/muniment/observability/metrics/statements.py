"""Named statements: how long each takes, and how many a request or a job runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from prometheus_client import Counter

from muniment.observability.metrics.bounded import Bounded
from muniment.observability.metrics.histogram import LoopHistogram, Series

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

STATEMENT_BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0)
REQUEST_COUNT_BUCKETS = (0, 1, 2, 3, 5, 7, 10, 15, 20, 50, 100)
JOB_COUNT_BUCKETS = (1, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)

Excess = Literal["many", "repeated"]
"""Too many statements in all, or one of them too often (N+1)."""


class StatementMetrics:
    """Counts statements by their name, and by the route or the kind of job that ran them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = LoopHistogram(
            "muniment_db_statement_duration_seconds",
            "Time that a named SQL statement took, as the application saw it.",
            ["statement"],
            buckets=STATEMENT_BUCKETS,
            registry=registry,
        )
        self._errors = Counter(
            "muniment_db_statement_errors",
            "Named SQL statements that failed.",
            ["statement"],
            registry=registry,
        )
        self._slow = Counter(
            "muniment_db_slow_statements",
            "Named SQL statements that took longer than slow_statement_ms, or in a worker "
            "slow_job_statement_ms.",
            ["statement"],
            registry=registry,
        )
        self._of_requests = LoopHistogram(
            "muniment_http_request_statements",
            "Statements that a request ran, without beginning and committing.",
            ["route"],
            buckets=REQUEST_COUNT_BUCKETS,
            registry=registry,
        )
        self._of_jobs = LoopHistogram(
            "muniment_job_statements",
            "Statements that an attempt at a job ran, without beginning and committing.",
            ["kind"],
            buckets=JOB_COUNT_BUCKETS,
            registry=registry,
        )
        self._excessive_requests = Counter(
            "muniment_http_requests_with_excessive_statements",
            "Requests with more statements than statements_per_request (many), or one of them "
            "same_statement_per_request times or more (repeated).",
            ["route", "excess"],
            registry=registry,
        )
        self._excessive_jobs = Counter(
            "muniment_jobs_with_excessive_statements",
            "Attempts with more statements than statements_per_job (many), or one of them "
            "same_statement_per_job times or more (repeated).",
            ["kind", "excess"],
            registry=registry,
        )
        self._kind = Bounded()
        self._duration_series: dict[str, Series] = {}
        self._request_series: dict[str, Series] = {}
        self._job_series: dict[str, Series] = {}

    def ran(self, name: str, seconds: float, *, failed: bool) -> None:
        """Record a named statement."""
        series = self._duration_series.get(name)
        if series is None:
            series = self._duration_series[name] = self._durations.labels(name)
        series.observe(seconds)
        if failed:
            self._errors.labels(name).inc()

    def was_slow(self, name: str) -> None:
        """Count a statement that took too long."""
        self._slow.labels(name).inc()

    def request_ran(self, route: str, statements: int, excess: Excess | None) -> None:
        """Record how many statements a request ran."""
        series = self._request_series.get(route)
        if series is None:
            series = self._request_series[route] = self._of_requests.labels(route)
        series.observe(statements)
        if excess is not None:
            self._excessive_requests.labels(route, excess).inc()

    def job_ran(self, kind: str, statements: int, excess: Excess | None) -> None:
        """Record how many statements an attempt at a job ran."""
        kind = self._kind(kind)
        series = self._job_series.get(kind)
        if series is None:
            series = self._job_series[kind] = self._of_jobs.labels(kind)
        series.observe(statements)
        if excess is not None:
            self._excessive_jobs.labels(kind, excess).inc()
