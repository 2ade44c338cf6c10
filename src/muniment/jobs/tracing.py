"""The trace of a job: it goes on with that of the request that enqueued it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind

from muniment.spans import begin, current_traceparent, is_collecting, parse_traceparent

if TYPE_CHECKING:
    from muniment.jobs.claim import Claim
    from muniment.jobs.observers import Ending
    from muniment.spans import Attributes

__all__ = ["TracingObserver", "current_traceparent", "job_span"]


class job_span:  # noqa: N801  # it is used as a function; a class because every job has one
    """Surround one attempt of a job with its span, in the trace of whoever enqueued it.

    A job that nobody's request enqueued begins a trace of its own. Log lines carry the trace
    id also when nobody collects spans. It is entered in the attempt's own asyncio task and
    stays that task's trace, so that what is logged about the attempt's end carries it as well.
    """

    __slots__ = ("_claim", "_entered")

    def __init__(self, claim: Claim) -> None:
        self._claim = claim

    def __enter__(self) -> None:
        claim = self._claim
        self._entered = begin(
            f"job {claim.kind}",
            SpanKind.CONSUMER,
            parent=None if claim.trace is None else parse_traceparent(claim.trace),
            attributes=_attributes(claim) if is_collecting() else None,
        )
        self._entered.__enter__()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._entered.end(error)


class TracingObserver:
    """Gives each attempt of a worker its span (a `JobObserver`)."""

    def attempt(self, claim: Claim) -> job_span:
        """Return the span of an attempt, to be entered in its task."""
        return job_span(claim)

    def ended(self, _claim: Claim, _ending: Ending, _seconds: float, _code: str | None) -> None:
        """Do nothing: the span has ended with the attempt."""


def _attributes(claim: Claim) -> Attributes:
    return {
        "messaging.system": "muniment",
        "messaging.operation.type": "process",
        "messaging.destination.name": claim.lane.value,
        "messaging.message.id": str(claim.job_id),
        "muniment.job.id": str(claim.job_id),
        "muniment.job.kind": claim.kind,
        "muniment.job.lane": claim.lane.value,
        "muniment.job.attempt": claim.attempt,
        "muniment.job.waited_ms": round(claim.waited.total_seconds() * 1000, 3),
        "muniment.org.id": str(claim.org_id),
    }
