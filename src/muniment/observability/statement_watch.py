"""Every named statement is timed, counted for its request or job, and reported when it is slow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog

from muniment.db import observe_statements
from muniment.observability.call_site import call_site, shown
from muniment.observability.request_record import current_work

if TYPE_CHECKING:
    from muniment.db import Pool
    from muniment.observability.metrics import Metrics
    from muniment.observability.request_record import WorkRecord

SLOW_SECONDS = 0.1
"""Statements that take longer are logged."""
SATURATED = 0.8
"""Share of a pool's connections in use from which the pool is reported as nearly exhausted."""
_REPORT_EVERY = 60.0
_WAITED_LONG = 0.1
"""Seconds of waiting for a connection that are reason to look at the pool at once."""
_MOST_SHOWN = 5
"""Statements of one request or job that are named when there were too many."""

_log = structlog.get_logger()


class StatementWatch:
    """Watches the statements of a process: metrics, slow log, counts, pool saturation."""

    def __init__(
        self,
        metrics: Metrics,
        pool: Pool | None = None,
        *,
        slow_seconds: float = SLOW_SECONDS,
        development: bool = False,
    ) -> None:
        """Record into `metrics`; look at the saturation of `pool` as connections are taken.

        In development, what is reported comes with the text of the statement and the place in
        our code that ran it. Finding that costs some microseconds for each statement.
        """
        self._metrics = metrics
        self._pool = pool
        self._slow_seconds = slow_seconds
        self._development = development
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
        self._metrics.statements.ran(name, seconds, failed=error is not None)
        record = current_work.get()
        if record is not None:
            record.count_statement(name)
        site = self._note_site(name, record) if self._development else None
        if seconds >= self._slow_seconds:
            self._metrics.statements.was_slow(name)
            more = shown(name, site) if self._development else {}
            _log.warning("slow_statement", statement=name, ms=round(seconds * 1000, 1), **more)

    def _note_site(self, name: str, record: WorkRecord | None) -> str | None:
        site = call_site()
        if record is not None:
            if record.call_sites is None:
                record.call_sites = {}
            if site is not None:
                record.call_sites[name] = site
        return site

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


def report_excess(record: WorkRecord, **what: Any) -> None:
    """Warn that a request or a job ran suspiciously many statements; `what` says which it was."""
    counts = record.statements.most_common(_MOST_SHOWN)
    if record.call_sites is not None:
        what["shown"] = {name: shown(name, record.call_sites.get(name)) for name, _ in counts}
    _log.warning("too_many_statements", **what, statements=dict(counts))
