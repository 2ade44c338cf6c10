"""What is seen of the attempts at jobs: their metrics, and the statements that each ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muniment.observability.request_record import StatementLimits, WorkRecord, current_work
from muniment.observability.statement_watch import report_excess

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from muniment.observability.metrics import Metrics
    from muniment.observability.metrics.jobs import Attempt

JOB_LIMITS = StatementLimits(most=500, repeated=200)
"""Jobs work in bulk, so theirs are not those of requests."""


class JobWatch:
    """Watches the attempts of a worker (a `JobObserver` of the jobs)."""

    def __init__(self, metrics: Metrics, limits: StatementLimits = JOB_LIMITS) -> None:
        """Record into `metrics`; warn of attempts beyond the limits."""
        self._metrics = metrics
        self._limits = limits

    def attempt(self, claim: Attempt) -> _Counting:
        """Count the statements of an attempt; entered in its own task."""
        return _Counting(self._metrics, self._limits, claim.kind)

    def ended(self, claim: Attempt, ending: str, seconds: float, code: str | None) -> None:
        """Record the end of an attempt."""
        self._metrics.jobs.ended(claim, ending, seconds, code)


class _Counting:
    """The context of an attempt; a class because it is entered for every job."""

    __slots__ = ("_kind", "_limits", "_metrics", "_record", "_token")

    def __init__(self, metrics: Metrics, limits: StatementLimits, kind: str) -> None:
        self._metrics = metrics
        self._limits = limits
        self._kind = kind
        self._record = WorkRecord()
        self._token: Token[WorkRecord | None] | None = None

    def __enter__(self) -> None:
        self._token = current_work.set(self._record)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            current_work.reset(self._token)
        record = self._record
        excess = record.excess(self._limits)
        self._metrics.statements.job_ran(self._kind, record.statements.total(), excess)
        if excess is not None:
            # The log line has the kind and the id of the job from the attempt's context.
            report_excess(record, kind=self._kind)
