"""Every named statement is timed, counted for its request, and reported when it is slow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog

from muniment.db import observe_statements
from muniment.observability.request_record import current_request

if TYPE_CHECKING:
    import asyncpg

    from muniment.observability.metrics import Metrics

SLOW_SECONDS = 0.1
"""Statements that take longer are logged."""
SATURATED = 0.8
"""Share of a pool's connections in use from which the pool is reported as nearly exhausted."""
_REPORT_EVERY = 60.0

_log = structlog.get_logger()


class StatementWatch:
    """Watches the statements of a process: metrics, slow log, counts, pool saturation."""

    def __init__(
        self,
        metrics: Metrics,
        pool: asyncpg.Pool[Any] | None = None,
        *,
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        """Record into `metrics`; look at the saturation of `pool` as transactions begin."""
        self._metrics = metrics
        self._pool = pool
        self._slow_seconds = slow_seconds
        self._looked_at = float("-inf")
        self._reported_at = float("-inf")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the context is open."""
        with observe_statements(self.saw):
            yield

    def saw(self, name: str, seconds: float, error: BaseException | None) -> None:
        """Take note of one statement (a statement observer)."""
        self._metrics.statement_ran(name, seconds, failed=error is not None)
        record = current_request.get()
        if record is not None:
            record.count_statement(name)
        if seconds >= self._slow_seconds:
            _log.warning("slow_statement", statement=name, ms=round(seconds * 1000, 1))
        if name == "db.begin" and self._pool is not None:
            self._look_at(self._pool)

    def _look_at(self, pool: asyncpg.Pool[Any]) -> None:
        now = monotonic()
        # Counting walks over the connections, so it is not done for every transaction.
        if now - self._looked_at < 1 or now - self._reported_at < _REPORT_EVERY:
            return
        self._looked_at = now
        busy = pool.get_size() - pool.get_idle_size()
        if busy >= SATURATED * pool.get_max_size():
            self._reported_at = now
            _log.warning("pool_nearly_exhausted", busy=busy, most=pool.get_max_size())
