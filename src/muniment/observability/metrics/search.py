"""Searches, by mode and stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class SearchMetrics:
    """Counts searches (implements `SearchObserver` of the search)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._stages = Histogram(
            "muniment_search_stage_duration_seconds",
            "Time of a stage of a search: embed (the query), candidates (of the legs of its mode, "
            "in one statement), fetch (the passages), total.",
            ["mode", "stage"],
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self._searches = Counter(
            "muniment_searches",
            "Searches that found passages (found) or none (nothing), were not acceptable "
            "(refused) or ended with another error (failed).",
            ["mode", "outcome"],
            registry=registry,
        )
        self._series: dict[tuple[str, str], Histogram] = {}

    def stage(self, mode: str, stage: str, seconds: float) -> None:
        """Record a stage."""
        series = self._series.get((mode, stage))
        if series is None:
            series = self._series[mode, stage] = self._stages.labels(mode, stage)
        series.observe(seconds)

    def ended(self, mode: str, outcome: str) -> None:
        """Count a search."""
        self._searches.labels(mode, outcome).inc()
