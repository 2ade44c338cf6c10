"""Attempts at jobs, by kind and lane, and how busy a worker is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from muniment.observability.metrics.bounded import Bounded
from muniment.observability.metrics.histogram import LoopHistogram, Series

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

DURATION_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
WAIT_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)

Load = Callable[[], Mapping[Any, tuple[int, int]]]
"""Returns, by lane, how many jobs run and how many may."""


class Attempt(Protocol):
    """What must be known of an attempt at a job (`Claim` of the jobs)."""

    @property
    def kind(self) -> str: ...  # noqa: D102

    @property
    def lane(self) -> str: ...  # noqa: D102

    @property
    def waited(self) -> timedelta: ...  # noqa: D102


class JobMetrics(Collector):
    """Counts attempts, and asks the worker for its load when it is asked itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["kind", "lane"]
        self._durations = LoopHistogram(
            "muniment_job_duration_seconds",
            "Time that an attempt at a job ran.",
            labels,
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._waits = LoopHistogram(
            "muniment_job_wait_seconds",
            "Time from when a job was due to the start of an attempt at it.",
            labels,
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self._attempts = Counter(
            "muniment_job_attempts",
            "Attempts at jobs that ended: succeeded, failed for good, cancelled, retried (another "
            "follows), released (given back unblamed), lost (another worker has the job).",
            [*labels, "outcome"],
            registry=registry,
        )
        self._failures = Counter(
            "muniment_job_failures",
            "Attempts that failed, followed by another or not, by the code of the error.",
            ["kind", "code"],
            registry=registry,
        )
        self._kind, self._code = Bounded(100), Bounded(100)
        self._lane, self._outcome = Bounded(20), Bounded(20)
        self._series: dict[tuple[str, str, str], tuple[Series, Series, Counter]] = {}
        self._load: Load | None = None
        registry.register(self)

    def watch(self, load: Load) -> None:
        """Report the load of a worker from now on."""
        self._load = load

    def ended(self, attempt: Attempt, outcome: str, seconds: float, code: str | None) -> None:
        """Record the end of an attempt."""
        key = (self._kind(attempt.kind), self._lane(str(attempt.lane)), self._outcome(outcome))
        series = self._series.get(key)
        if series is None:
            kind, lane, _ = key
            series = self._series[key] = (
                self._durations.labels(kind, lane),
                self._waits.labels(kind, lane),
                self._attempts.labels(*key),
            )
        duration, wait, attempts = series
        duration.observe(seconds)
        wait.observe(max(attempt.waited.total_seconds(), 0.0))
        attempts.inc()
        if outcome in {"failed", "retried"}:
            self._failures.labels(key[0], self._code(code or "unknown")).inc()

    def collect(self) -> Iterator[Metric]:
        """Yield the load."""
        running = GaugeMetricFamily(
            "muniment_worker_jobs_running", "Jobs that a worker runs.", labels=["lane"]
        )
        slots = GaugeMetricFamily(
            "muniment_worker_slots", "Jobs that a worker may run at a time.", labels=["lane"]
        )
        for lane, (busy, most) in ({} if self._load is None else self._load()).items():
            running.add_metric([str(lane)], busy)
            slots.add_metric([str(lane)], most)
        yield running
        yield slots
