"""Traces: spans of requests, jobs and statements, sent to a collector by OTLP over HTTP."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Literal

import asyncpg
import structlog

from muniment import __version__
from muniment.db import new_id, observe_statements
from muniment.observability.errors import TracingUnavailable
from muniment.outside_services import observe_outside_services
from muniment.spans import collecting, record_call

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import Sampler

    from muniment.settings import Settings

FLUSH_SECONDS = 2.0
"""Time for sending the last spans when a process ends."""
REPORT_SECONDS = 60.0
"""A collector that is away is logged this often."""

_PATH = "/v1/traces"
_STANDARD_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_STANDARD_SAMPLER = "OTEL_TRACES_SAMPLER"

_log = structlog.get_logger()


@contextmanager
def configure_tracing(settings: Settings, role: Literal["api", "worker"]) -> Iterator[None]:
    """Send the spans of this process to a collector while the context is open.

    Where none is configured, by MUNIMENT_OTLP_ENDPOINT or by the standard variables, it does
    nothing. A collector that is away costs nobody anything but its spans: they are dropped,
    and a line a minute says so. Leaving takes at most `FLUSH_SECONDS`.

    Raises:
        TracingUnavailable: MUNIMENT_OTLP_ENDPOINT is set and the extra `otel` not installed.
    """
    if not _wanted(settings):
        yield
        return
    try:
        provider, exporter = _provider(settings, role)
    except ImportError as error:
        message = (
            "Traces are to be sent to a collector, but OpenTelemetry's SDK is not installed: "
            "run `pip install 'muniment[otel]'`, or unset MUNIMENT_OTLP_ENDPOINT."
        )
        if settings.otlp_endpoint is not None:
            raise TracingUnavailable(message) from error
        # The standard variables may be meant for everything on this machine.
        _log.warning("traces_not_sent", reason=message)
        yield
        return
    try:
        with (
            collecting(provider.get_tracer("muniment", __version__)),
            observe_statements(_statement_ran),
            observe_outside_services(_OutsideCalls()),
        ):
            yield
    finally:
        _shut_down(provider, exporter)


def _wanted(settings: Settings) -> bool:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if settings.otlp_endpoint is not None:
        return True
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() != "otlp":
        return False
    return any(os.environ.get(name) for name in _STANDARD_ENDPOINTS)


def _provider(
    settings: Settings, role: Literal["api", "worker"]
) -> tuple[TracerProvider, _PatientExporter]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

    resource = Resource.create(
        {
            "service.name": "muniment",
            "service.version": __version__,
            "service.instance.id": str(new_id()),
            "muniment.role": role,
            "process.pid": os.getpid(),
        }
    ).merge(OTELResourceDetector().detect())  # what an operator says of the process counts more
    provider = TracerProvider(_sampler(settings), resource, shutdown_on_exit=False)
    exporter = _PatientExporter(
        OTLPSpanExporter(_traces_address(settings.otlp_endpoint)), SpanExportResult.FAILURE
    )
    # It knows the exporter by its methods only.
    provider.add_span_processor(BatchSpanProcessor(exporter))  # type: ignore[arg-type]
    return provider, exporter


def _sampler(settings: Settings) -> Sampler | None:
    """Return how traces are chosen; None leaves it to the standard variables."""
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBasedTraceIdRatio

    ratio = settings.trace_sample_ratio
    if ratio is None:
        return None if os.environ.get(_STANDARD_SAMPLER) else ParentBasedTraceIdRatio(1.0)
    # Whoever wants no traces wants none that a caller asks for either.
    return ALWAYS_OFF if ratio == 0 else ParentBasedTraceIdRatio(ratio)


def _traces_address(endpoint: str | None) -> str | None:
    """Return where to post; the setting is the collector's base address, as the standard's is."""
    if endpoint is None:
        return None  # the exporter reads the standard variables by itself
    endpoint = endpoint.rstrip("/")
    return endpoint if endpoint.endswith(_PATH) else endpoint + _PATH


class _PatientExporter:
    """Passes spans to an exporter and tells once in a while that they were lost.

    The libraries' own lines about it, several for each batch, are not logged (see `logging`).
    """

    def __init__(self, exporter: SpanExporter, failure: SpanExportResult) -> None:
        self._exporter = exporter
        self._failure = failure
        self._lost = 0
        self._reported_at = float("-inf")
        self._ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is self._failure:
            self._lost += len(spans)
            now = monotonic()
            if now - self._reported_at >= REPORT_SECONDS and not self._ended:
                _log.warning("traces_not_sent", spans=self._lost, reason="no collector took them")
                self._reported_at, self._lost = now, 0
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        self._ended = True  # what is still under way has nobody to tell
        self._exporter.shutdown()


def _shut_down(provider: TracerProvider, exporter: _PatientExporter) -> None:
    """Send what is left, for a bounded time; the SDK itself would wait for half a minute."""
    flushing = threading.Thread(target=provider.shutdown, name="muniment-traces", daemon=True)
    flushing.start()
    flushing.join(FLUSH_SECONDS)
    if flushing.is_alive():
        # It ends the pause between two tries, and no other begins. What is under way ends
        # with the process.
        exporter.shutdown()


def _statement_ran(name: str, seconds: float, error: BaseException | None) -> None:
    """Make a span of a named statement that has run (a statement observer).

    Statements of no request or job (claims, heartbeats) have none. What a statement is told,
    and its text, are not recorded: the name leads to the text.
    """
    attributes = {
        "db.system.name": "postgresql",
        "db.operation.name": name,
        "db.query.summary": name,
    }
    if isinstance(error, asyncpg.PostgresError) and isinstance(error.sqlstate, str):
        attributes["db.response.status_code"] = error.sqlstate
    record_call(name, seconds, attributes, error=error)


class _OutsideCalls:
    """Makes spans of calls to outside services."""

    def called(self, service: str, outcome: str, seconds: float) -> None:
        error_type = None if outcome in {"ok", "cancelled"} else outcome
        attributes = {"service.peer.name": service}
        record_call(f"call {service}", seconds, attributes, error_type=error_type)

    def allowance(self, service: str, remaining: float) -> None:
        """Do nothing: it is a matter of metrics."""
