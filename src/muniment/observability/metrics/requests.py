"""Requests, by the template of their route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

from muniment.observability.metrics.histogram import LoopHistogram, Series

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds. They are fixed, so memory does not grow with traffic."""
SIZE_BUCKETS = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics:
    """Counts requests; a series exists for each route template, not for each path."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = LoopHistogram(
            "muniment_http_request_duration_seconds",
            "Time from the first byte of a request to the last byte of its response; of a "
            "response that streams events, to its first byte.",
            ["route", "method", "status"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._in_progress = Gauge(
            "muniment_http_requests_in_progress",
            "Requests that are being answered, without open streams of events.",
            registry=registry,
        )
        self._sizes = LoopHistogram(
            "muniment_http_response_size_bytes",
            "Size of the bodies of responses as they were sent, so after compression.",
            ["route"],
            buckets=SIZE_BUCKETS,
            registry=registry,
        )
        self._realtime = Gauge(
            "muniment_realtime_connections",
            "Connections that are open to be told of events.",
            ["transport"],
            registry=registry,
        )
        self._realtime_opened = Counter(
            "muniment_realtime_connections_opened",
            "Connections that were opened to be told of events.",
            ["transport"],
            registry=registry,
        )
        # Looking up a series by its labels costs more than counting, so series are kept.
        self._duration_series: dict[tuple[str, str, int], Series] = {}
        self._size_series: dict[str, Series] = {}

    def began(self) -> None:
        """Count a request that is being answered."""
        self._in_progress.inc()

    def ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """Record a finished request; `route` is the template, `status` the HTTP status."""
        self._in_progress.dec()
        self._record(route, method, status, seconds)

    def sent(self, route: str, size: int) -> None:
        """Record how many bytes the body of a response had."""
        series = self._size_series.get(route)
        if series is None:
            series = self._size_series[route] = self._sizes.labels(route)
        series.observe(size)

    def stream_began(self) -> None:
        """Count a request as an open stream of events from now on."""
        self._in_progress.dec()
        self.opened("sse")

    def stream_ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """Record a request whose stream of events is closed; it began after so many seconds."""
        self.closed("sse")
        self._record(route, method, status, seconds)

    def opened(self, transport: str) -> None:
        """Count a connection that stays open to tell of events."""
        self._realtime.labels(transport).inc()
        self._realtime_opened.labels(transport).inc()

    def closed(self, transport: str) -> None:
        """Count such a connection no more."""
        self._realtime.labels(transport).dec()

    def _record(self, route: str, method: str, status: int, seconds: float) -> None:
        key = (route, method, status // 100)
        series = self._duration_series.get(key)
        if series is None:
            known = method if method in _METHODS else "OTHER"
            series = self._durations.labels(route, known, f"{status // 100}xx")
            if known == method:
                self._duration_series[key] = series
        series.observe(seconds)
