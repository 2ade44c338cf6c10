"""Pools of database connections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

    from muniment.db import Pool

ACQUIRE_BUCKETS = (0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0)

_GAUGES = {
    "size": "Open connections.",
    "idle": "Open connections that nobody uses.",
    "max": "Most connections of the pool.",
    "waiting": "Who waits for a connection.",
    "saturation": "Share of the most connections that is in use, from 0 to 1.",
}


class PoolMetrics(Collector):
    """Reads the state of pools when it is asked; how long they are waited for is counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._pools: dict[str, Pool] = {}
        self._acquires = Histogram(
            "muniment_db_pool_acquire_duration_seconds",
            "Time that somebody waited for a database connection, also in vain.",
            ["pool"],
            buckets=ACQUIRE_BUCKETS,
            registry=registry,
        )
        registry.register(self)

    def watch(self, name: str, pool: Pool) -> None:
        """Report the connections of a pool, and how long they are waited for, from now on."""
        self._pools[name] = pool
        pool.observers.append(self._acquires.labels(name).observe)

    def collect(self) -> Iterable[Metric]:
        """Yield every gauge, with a value for each pool."""
        families = {
            name: GaugeMetricFamily(f"muniment_db_pool_{name}", text, labels=["pool"])
            for name, text in _GAUGES.items()
        }
        for name, pool in self._pools.copy().items():
            size, idle, most = pool.get_size(), pool.get_idle_size(), pool.get_max_size()
            figures = (size, idle, most, pool.waiting, (size - idle) / most)
            for gauge, value in zip(families.values(), figures, strict=True):
                gauge.add_metric([name], value)
        return families.values()
