"""The figures of the cache and of the limiter for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from muniment.cache.limits import LimitStatistics
from muniment.cache.statistics import CacheStatistics

if TYPE_CHECKING:
    from prometheus_client import Metric

_COUNTERS = {
    "misses": "Values that had to be loaded.",
    "bypasses": "Values loaded past the cache, because invalidations could not be heard.",
    "joined": "Misses that waited for a load that had begun.",
    "failures": "Loads that failed.",
    "load_seconds": "Time spent in loads.",
    "evictions": "Values that gave way to others.",
    "invalidations": "Values dropped because a change was announced.",
    "redis_errors": "Calls to Redis that failed or took too long.",
}
_GAUGES = {
    "entries": "Values in the memory of this process.",
    "bytes": "Their size.",
}
_LIMITS = {
    "checks": ("Requests held against a limit.", "kind"),
    "refusals": ("Requests refused by a limit.", "kind"),
    "unseen": ("Requests let pass because Redis could not count them.", "kind"),
    "failures": ("Failures of Redis while counting.", "reason"),
}


class CacheCollector(Collector):
    """Reads the figures when it is asked; they are kept in fixed memory for each namespace."""

    def __init__(
        self,
        cache: Callable[[], CacheStatistics | None],
        limits: Callable[[], LimitStatistics | None],
    ) -> None:
        """Ask these for the figures; None while the process starts or stops."""
        self._cache = cache
        self._limits = limits

    def collect(self) -> Iterator[Metric]:
        """Yield every family, without values when there are none yet."""
        yield from self._of_cache(self._cache() or CacheStatistics())
        yield from self._of_limits(self._limits())

    def _of_cache(self, statistics: CacheStatistics) -> Iterator[Metric]:
        # A copy: the collector may be asked in a thread while a namespace is added.
        by_name = dict(statistics.namespaces)
        hits = CounterMetricFamily(
            "muniment_cache_hits", "Values that were cached.", labels=["namespace", "level"]
        )
        for name, counts in by_name.items():
            hits.add_metric([name, "memory"], counts.memory_hits)
            hits.add_metric([name, "redis"], counts.shared_hits)
        yield hits
        for field, help_text in _COUNTERS.items():
            counter = CounterMetricFamily(
                f"muniment_cache_{field}", help_text, labels=["namespace"]
            )
            for name, counts in by_name.items():
                counter.add_metric([name], getattr(counts, field))
            yield counter
        for field, help_text in _GAUGES.items():
            gauge = GaugeMetricFamily(f"muniment_cache_{field}", help_text, labels=["namespace"])
            for name, counts in by_name.items():
                gauge.add_metric([name], getattr(counts, field))
            yield gauge
        yield GaugeMetricFamily(
            "muniment_cache_listening",
            "Whether invalidations are heard (1); without them everything is loaded.",
            value=float(statistics.listening),
        )
        yield CounterMetricFamily(
            "muniment_cache_announcements",
            "Invalidations that were heard.",
            value=statistics.announcements,
        )

    def _of_limits(self, statistics: LimitStatistics | None) -> Iterator[Metric]:
        for field, (help_text, label) in _LIMITS.items():
            counter = CounterMetricFamily(f"muniment_rate_limit_{field}", help_text, labels=[label])
            counts: Mapping[str, int] = {} if statistics is None else getattr(statistics, field)
            for name, count in counts.items():
                counter.add_metric([name], count)
            yield counter
