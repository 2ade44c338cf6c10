"""A histogram for what happens thousands of times a second on the event loop.

Four times as fast as the library's, which takes a lock twice and looks at the buckets one after
the other: to be used by one thread, that of the event loop. Another one may read it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class Series:
    """The observations of one set of labels, in fixed memory."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Observations by bucket, not added up; the last bucket has no bound."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class LoopHistogram(Collector):
    """Counts values in buckets, by labels."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        """Count into `buckets`, upper bounds that include their value, ascending."""
        self._name = name
        self._documentation = documentation
        self._labels = tuple(labels)
        self._buckets = tuple(float(bound) for bound in buckets)
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """Return the series of some values of the labels, in their order."""
        series = self._series.get(values)
        if series is None:
            assert len(values) == len(self._labels)
            series = self._series[values] = Series(self._buckets)
        return series

    def collect(self) -> Iterator[Metric]:
        """Yield the family as Prometheus wants it: buckets that contain those below."""
        metric = Metric(self._name, self._documentation, "histogram")
        bounds = [floatToGoString(bound) for bound in (*self._buckets, float("inf"))]  # type: ignore[no-untyped-call]
        for values, series in self._series.copy().items():
            labels = dict(zip(self._labels, values, strict=True))
            counts, total = series.counts.copy(), series.total
            below = 0
            for bound, count in zip(bounds, counts, strict=True):
                below += count
                metric.add_sample(f"{self._name}_bucket", labels | {"le": bound}, below)
            metric.add_sample(f"{self._name}_count", labels, below)
            metric.add_sample(f"{self._name}_sum", labels, total)
        yield metric
