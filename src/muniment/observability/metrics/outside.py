"""Calls to services outside of this installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Gauge, Histogram

from muniment.observability.metrics.bounded import Bounded

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

OUTSIDE_BUCKETS = (0.0005, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class OutsideMetrics:
    """How long outside services take and what they still allow; an `OutsideObserver`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = Histogram(
            "muniment_outside_service_duration_seconds",
            "Time that a call to an outside service took, by how it ended.",
            ["service", "outcome"],
            buckets=OUTSIDE_BUCKETS,
            registry=registry,
        )
        self._allowance = Gauge(
            "muniment_outside_service_allowance_remaining",
            "Calls that an outside service says that it will still answer.",
            ["service"],
            registry=registry,
        )
        self._service, self._outcome = Bounded(50), Bounded(20)
        self._series: dict[tuple[str, str], Histogram] = {}

    def called(self, service: str, outcome: str, seconds: float) -> None:
        """Record a call."""
        key = (self._service(service), self._outcome(outcome))
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self._durations.labels(*key)
        series.observe(seconds)

    def allowance(self, service: str, remaining: float) -> None:
        """Record what a service still allows."""
        self._allowance.labels(self._service(service)).set(remaining)
