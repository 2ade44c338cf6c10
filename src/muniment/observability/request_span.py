"""The span of a request, after OpenTelemetry's conventions for HTTP servers.

Two of them are not followed: neither paths nor addresses are recorded. A path may hold what is
nobody's business, and its template says as much about the time that a request took.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span

from muniment.spans import EnteredSpan, begin, parse_traceparent

if TYPE_CHECKING:
    from litestar.types import HTTPScope
    from opentelemetry.trace import SpanContext

    from muniment.observability.request_record import RequestRecord

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SERVER_ERROR = 500


def request_span(scope: HTTPScope, *, collect: bool) -> EnteredSpan:
    """Return the span of a request, to be entered; it goes on with the caller's trace.

    With `collect` False it only carries the ids, for requests that would fill the collector
    and tell nothing: probes.
    """
    method = scope["method"]
    attributes = {
        "http.request.method": method if method in _METHODS else "_OTHER",
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
    }
    return begin(
        method if method in _METHODS else "HTTP",
        SpanKind.SERVER,
        parent=_caller(scope["headers"]),
        attributes=attributes,
        collect=collect,
    )


def describe_request(record: RequestRecord, method: str, route: str | None, status: int) -> None:
    """Write on the current span, a request's, what is known in its end.

    `route` is the template of its path, if any matched; `status` the HTTP status, 499 for a
    caller who did not wait.
    """
    span = get_current_span()
    if not span.is_recording():
        return
    span.set_attribute("http.response.status_code", status)
    span.set_attribute("muniment.request.id", record.request_id)
    if route is not None:
        span.set_attribute("http.route", route)
        span.update_name(f"{method if method in _METHODS else 'HTTP'} {route}")
    if record.org_id is not None:
        span.set_attribute("muniment.org.id", record.org_id)
    if status >= _SERVER_ERROR:
        span.set_attribute("error.type", record.problem_code or str(status))
        span.set_status(Status(StatusCode.ERROR))


def _caller(headers: Iterable[tuple[bytes, bytes]]) -> SpanContext | None:
    sent = [value for name, value in headers if name == b"traceparent"]
    # Of two, neither can be believed.
    return parse_traceparent(sent[0].decode("latin-1")) if len(sent) == 1 else None
