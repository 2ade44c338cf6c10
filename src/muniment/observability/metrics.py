"""Prometheus metrics of one process."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from muniment import __version__

if TYPE_CHECKING:
    from prometheus_client import Metric

    from muniment.db import Pool

REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds. They are fixed, so memory does not grow with traffic."""
ACQUIRE_BUCKETS = (0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0)
STATEMENT_BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# The time of creation of each series would double the output and tells nothing here.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics that one process keeps, in a registry of its own.

    A series exists for each route template, not for each path, and for each named statement,
    so their number is bounded by the program.
    """

    def __init__(self, role: Literal["api", "worker"]) -> None:
        """Make an empty set of metrics; `role` says what kind of process they are of."""
        self.registry = CollectorRegistry(auto_describe=False)
        self._requests = Histogram(
            "muniment_http_request_duration_seconds",
            "Time from the first byte of a request to the last byte of its response.",
            ["route", "method", "status"],
            buckets=REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._in_progress = Gauge(
            "muniment_http_requests_in_progress",
            "Requests that are being answered.",
            registry=self.registry,
        )
        self._statements = Histogram(
            "muniment_db_statement_duration_seconds",
            "Time that a named SQL statement took, as the application saw it.",
            ["statement"],
            buckets=STATEMENT_BUCKETS,
            registry=self.registry,
        )
        self._statement_errors = Counter(
            "muniment_db_statement_errors",
            "Named SQL statements that failed.",
            ["statement"],
            registry=self.registry,
        )
        Gauge(
            "muniment_build_info",
            "The running version; always 1.",
            ["version", "role", "python"],
            registry=self.registry,
        ).labels(__version__, role, platform.python_version()).set(1)
        self._acquires = Histogram(
            "muniment_db_pool_acquire_duration_seconds",
            "Time that somebody waited for a database connection, also in vain.",
            ["pool"],
            buckets=ACQUIRE_BUCKETS,
            registry=self.registry,
        )
        self._pools = _PoolCollector()
        self.registry.register(self._pools)
        self.registry.register(_ProcessCollector())
        # Looking up a series by its labels costs more than counting, so series are kept.
        self._request_series: dict[tuple[str, str, int], Histogram] = {}
        self._statement_series: dict[str, Histogram] = {}

    def request_began(self) -> None:
        """Count a request that is being answered."""
        self._in_progress.inc()

    def request_ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """Record a finished request; `route` is the template, `status` the HTTP status."""
        self._in_progress.dec()
        key = (route, method, status // 100)
        series = self._request_series.get(key)
        if series is None:
            known = method if method in _METHODS else "OTHER"
            series = self._requests.labels(route, known, f"{status // 100}xx")
            if known == method:
                self._request_series[key] = series
        series.observe(seconds)

    def statement_ran(self, name: str, seconds: float, *, failed: bool) -> None:
        """Record a named statement."""
        series = self._statement_series.get(name)
        if series is None:
            series = self._statement_series[name] = self._statements.labels(name)
        series.observe(seconds)
        if failed:
            self._statement_errors.labels(name).inc()

    def watch_pool(self, name: str, pool: Pool) -> None:
        """Report the connections of a pool, and how long they are waited for, from now on."""
        self._pools.pools[name] = pool
        pool.observers.append(self._acquires.labels(name).observe)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics and their media type, in a format that `accept` asks for."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type


class _PoolCollector(Collector):
    """Reads the state of connection pools when it is asked."""

    def __init__(self) -> None:
        self.pools: dict[str, Pool] = {}

    def collect(self) -> Iterable[Metric]:
        families = {
            "size": GaugeMetricFamily(
                "muniment_db_pool_size", "Open connections.", labels=["pool"]
            ),
            "idle": GaugeMetricFamily(
                "muniment_db_pool_idle", "Open connections that nobody uses.", labels=["pool"]
            ),
            "max": GaugeMetricFamily(
                "muniment_db_pool_max", "Most connections of the pool.", labels=["pool"]
            ),
            "waiting": GaugeMetricFamily(
                "muniment_db_pool_waiting", "Who waits for a connection.", labels=["pool"]
            ),
        }
        for name, pool in self.pools.items():
            families["size"].add_metric([name], pool.get_size())
            families["idle"].add_metric([name], pool.get_idle_size())
            families["max"].add_metric([name], pool.get_max_size())
            families["waiting"].add_metric([name], pool.waiting)
        return families.values()


class _ProcessCollector(Collector):
    """Processor time, memory and file handles of this process, under Prometheus' usual names."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def collect(self) -> Iterator[Metric]:
        with self._process.oneshot():
            times = self._process.cpu_times()
            memory = self._process.memory_info()
            threads = self._process.num_threads()
            started = self._process.create_time()
        yield CounterMetricFamily(
            "process_cpu_seconds", "User and system processor time.", times.user + times.system
        )
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", memory.rss)
        yield GaugeMetricFamily("process_virtual_memory_bytes", "Virtual memory.", memory.vms)
        yield GaugeMetricFamily("process_threads", "Threads.", threads)
        yield GaugeMetricFamily("process_start_time_seconds", "Start, in Unix time.", started)
        if hasattr(self._process, "num_fds"):
            yield GaugeMetricFamily(
                "process_open_fds", "Open file descriptors.", self._process.num_fds()
            )
