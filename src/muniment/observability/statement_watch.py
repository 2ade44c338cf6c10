"""Every named statement is timed, counted for its request, and reported when it is slow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from muniment.db import observe_statements
from muniment.observability.request_record import current_request

if TYPE_CHECKING:
    from muniment.db import Pool
    from muniment.observability.metrics import Metrics

SLOW_SECONDS = 0.1
"""Statements that take longer are logged."""
SATURATED = 0.8
"""Share of a pool's connections in use from which the pool is reported as nearly exhausted."""
_REPORT_EVERY = 60.0
_WAITED_LONG = 0.1
"""Seconds of waiting for a connection that are reason to look at the pool at once."""

_log = structlog.get_logger()


class StatementWatch:
    """Watches the statements of a process: metrics, slow log, counts, pool saturation."""

    def __init__(
        self,
        metrics: Metrics,
        pool: Pool | None = None,
        *,
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        """Record into `metrics`; look at the saturation of `pool` as connections are taken."""
        self._metrics = metrics
        self._pool = pool
        self._slow_seconds = slow_seconds
        self._looked_at = float("-inf")
        self._reported_at = float("-inf")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the context is open."""
        with observe_statements(self.saw), self._watching_pool():
            yield

    @contextmanager
    def _watching_pool(self) -> Iterator[None]:
        if self._pool is None:
            yield
            return
        self._pool.observers.append(self.waited)
        try:
            yield
        finally:
            self._pool.observers.remove(self.waited)

    def saw(self, name: str, seconds: float, error: BaseException | None) -> None:
        """Take note of one statement (a statement observer)."""
        self._metrics.statement_ran(name, seconds, failed=error is not None)
        record = current_request.get()
        if record is not None:
            record.count_statement(name)
        if seconds >= self._slow_seconds:
            _log.warning("slow_statement", statement=name, ms=round(seconds * 1000, 1))

    def waited(self, seconds: float) -> None:
        """Take note that somebody waited for a connection (an observer of the pool)."""
        now, pool = monotonic(), self._pool
        # Counting walks over the connections, so it is not done each time.
        recent = now - self._looked_at < 1 and seconds < _WAITED_LONG
        if pool is None or recent or now - self._reported_at < _REPORT_EVERY:
            return
        self._looked_at = now
        busy = pool.get_size() - pool.get_idle_size()
        if busy >= SATURATED * pool.get_max_size():
            self._reported_at = now
            _log.warning(
                "pool_nearly_exhausted",
                busy=busy,
                most=pool.get_max_size(),
                waiting=pool.waiting,
                waited_ms=round(seconds * 1000, 1),
            )
