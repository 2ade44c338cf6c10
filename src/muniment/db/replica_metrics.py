"""The figures of the replica for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from muniment.db.replica import Replica

if TYPE_CHECKING:
    from prometheus_client import Metric


class ReplicaCollector(Collector):
    """Reads the figures when it is asked."""

    def __init__(self, replica: Callable[[], Replica | None]) -> None:
        """Ask for the replica; None where there is none, or while the process starts or stops."""
        self._replica = replica

    def collect(self) -> Iterator[Metric]:
        """Yield every family, without values where there is no replica."""
        replica = self._replica()
        lag = GaugeMetricFamily(
            "muniment_db_replica_lag_seconds",
            "Seconds before now up to which the replica is known to show everything.",
        )
        reads = CounterMetricFamily(
            "muniment_db_replica_reads",
            "Transactions that could read from the replica: `replica` did; `written` (the "
            "organization has just written), `behind` and `failed` read from the primary.",
            labels=["outcome"],
        )
        if replica is not None:
            lag.add_metric([], replica.lag)
            for outcome, count in dict(replica.outcomes).items():
                reads.add_metric([outcome], count)
        yield lag
        yield reads
