"""Spans and trace ids: which request or job the work at hand belongs to, and what it consists of.

Ids are made and passed on in any case, so that the log lines of a request and of its jobs can be
joined. Spans are made of it only while somebody collects them (`collecting`); the rest of the
time a stage costs a look at a variable. Both use OpenTelemetry's context and its types.

A span tells the kind of an error, never its message: that may quote a document or a password.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import time_ns
from types import TracebackType
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from muniment.errors import MunimentError

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

AttributeValue = str | bool | int | float
Attributes = Mapping[str, AttributeValue]

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST_TRACEPARENT = 512
_NOTHING = nullcontext()

_tracer: Tracer | None = None


@contextmanager
def collecting(tracer: Tracer) -> Iterator[None]:
    """Let spans be made by `tracer` while the context is open."""
    global _tracer  # noqa: PLW0603  # one for the process, as its log is
    before, _tracer = _tracer, tracer
    try:
        yield
    finally:
        _tracer = before


def is_collecting() -> bool:
    """Tell whether anybody collects spans."""
    return _tracer is not None


def parse_traceparent(text: str) -> SpanContext | None:
    """Return what a W3C ``traceparent`` names, or None where it is not well-formed.

    See https://www.w3.org/TR/trace-context/: a version that is not known yet may go on after
    the four fields of version 00.
    """
    found = _TRACEPARENT.fullmatch(text) if len(text) <= _LONGEST_TRACEPARENT else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more):
        return None
    context = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return context if context.is_valid else None


def current_traceparent() -> str | None:
    """Return the ``traceparent`` of the request or job that this task works for, if any."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def begin(
    name: str,
    kind: SpanKind,
    *,
    parent: SpanContext | None,
    attributes: Attributes | None = None,
    collect: bool = True,
) -> EnteredSpan:
    """Return the span of a request or job, to be entered; it is in the trace of `parent`.

    Without a parent it begins a trace; what is current now has no part in it. It only carries
    ids when nobody collects spans, or `collect` is False.
    """
    if _tracer is None or not collect:
        return EnteredSpan(NonRecordingSpan(_only_ids(parent)))
    context = otel_context.Context()
    if parent is not None:
        context = set_span_in_context(NonRecordingSpan(parent), context)
    return EnteredSpan(_tracer.start_span(name, context, kind, attributes))


def stage(name: str, attributes: Attributes | None = None) -> AbstractContextManager[object]:
    """Return the span of one stage of the request or job at hand, to be entered.

    Work that belongs to none, and one that is not sampled, has no stages.
    """
    if _tracer is None or not get_current_span().is_recording():
        return _NOTHING
    return EnteredSpan(_tracer.start_span(name, attributes=attributes))


def record_call(
    name: str,
    seconds: float,
    attributes: Attributes,
    *,
    error: BaseException | None = None,
    error_type: str | None = None,
) -> None:
    """Add a call that took so long and ended just now to the request or job at hand.

    Work that belongs to none, and one that is not sampled, has no calls. What went wrong is
    told as the exception, or as a word.
    """
    if _tracer is None or not get_current_span().is_recording():
        return
    ended = time_ns()
    began = ended - int(seconds * 1e9)
    span = _tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes, start_time=began)
    if error is not None:
        mark_failed(span, error)
    elif error_type is not None:
        span.set_attribute("error.type", error_type)
        span.set_status(Status(StatusCode.ERROR))
    span.end(ended)


def mark_failed(span: Span, error: BaseException) -> None:
    """Say on a span what kind of error ended it; being cancelled is none."""
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        span.set_attribute("muniment.cancelled", value=True)
        return
    code = error.code if isinstance(error, MunimentError) else type(error).__qualname__
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR))


class EnteredSpan:
    """A span that is the current one while the context is open, and ends with it."""

    __slots__ = ("_token", "span")

    def __init__(self, span: Span) -> None:
        self.span = span

    def __enter__(self) -> Span:
        self._token = otel_context.attach(set_span_in_context(self.span))
        return self.span

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        otel_context.detach(self._token)
        self.end(error)

    def end(self, error: BaseException | None) -> None:
        """End the span and leave it the current one, where nothing but its end comes after it."""
        if self.span.is_recording():
            if error is not None:
                mark_failed(self.span, error)
            self.span.end()


def _only_ids(parent: SpanContext | None) -> SpanContext:
    # Ids need not be hard to guess, only different.
    span_id = random.getrandbits(64) or 1
    if parent is not None:
        return SpanContext(parent.trace_id, span_id, False, parent.trace_flags)
    trace_id = random.getrandbits(128) or 1
    return SpanContext(trace_id, span_id, is_remote=False)
