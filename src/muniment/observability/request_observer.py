"""The outermost layer around the application: request ids, access log, metrics."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import structlog
from structlog.contextvars import bound_contextvars, unbind_contextvars

from muniment.observability.request_record import (
    RequestRecord,
    current_request,
    request_id_from,
)

if TYPE_CHECKING:
    from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

    from muniment.observability.metrics import Metrics

Headers = list[tuple[bytes, bytes]]
CrashResponse = Callable[[RequestRecord], tuple[int, Headers, bytes]]
"""Makes status, headers and body of the answer to a request that failed unforeseen."""

UNMATCHED = "(unmatched)"
"""The route of requests that no route matches: one series, whatever paths are probed."""
CLIENT_CLOSED = 499
"""Status in logs and metrics of a request that ended without a response."""
_RECORD = "muniment_request"
_ROUTINE = frozenset({"/healthz", "/readyz", "/metrics"})

_log = structlog.get_logger()


def record_of(scope: Any) -> RequestRecord:
    """Return the record of the request of an ASGI scope."""
    record: RequestRecord = scope["state"][_RECORD]
    return record


class RequestObserver:
    """ASGI middleware that gives each request its record and reports it when it ended.

    The line it logs holds method, route template, status, milliseconds, number of statements
    and organization; never paths, queries, bodies or keys.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, headers: Headers, crash_response: CrashResponse
    ) -> None:
        """Wrap `app`; `headers` are added to every response that does not set them itself."""
        self._app = app
        self._metrics = metrics
        self._headers = headers
        self._crash_response = crash_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        began = perf_counter()
        sent_id = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
        record = RequestRecord(request_id_from(sent_id))
        scope.setdefault("state", {})[_RECORD] = record
        id_header = (b"x-request-id", record.request_id.encode())
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message["headers"])
                present = {name for name, _ in headers}
                headers += [header for header in self._headers if header[0] not in present]
                headers += [id_header, *record.response_headers]
                message["headers"] = headers
            await send(message)

        token = current_request.set(record)
        self._metrics.request_began()
        with bound_contextvars(request_id=record.request_id):
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception:
                # The process edge: nobody above can answer.
                _log.exception("request_crashed")
                if status is not None:
                    raise  # half a response went out; only closing the connection tells so
                await self._answer_crash(record, send_with_headers)
            finally:
                self._report(cast("HTTPScope", scope), record, status, perf_counter() - began)
                current_request.reset(token)
                unbind_contextvars("org_id")  # bound when the caller was known

    async def _answer_crash(self, record: RequestRecord, send: Send) -> None:
        status, headers, body = self._crash_response(record)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _report(
        self, scope: HTTPScope, record: RequestRecord, status: int | None, seconds: float
    ) -> None:
        route: str = scope.get("path_template") or UNMATCHED
        status = CLIENT_CLOSED if status is None else status
        self._metrics.request_ended(route, scope["method"], status, seconds)
        line: dict[str, Any] = {
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "statements": record.statements.total(),
        }
        if record.org_id is not None:
            line["org_id"] = record.org_id
        if record.problem_code is not None:
            line["code"] = record.problem_code
        if route in _ROUTINE:
            _log.debug("request", **line)
        else:
            _log.info("request", **line)
        if record.is_chatty:
            _log.warning(
                "too_many_statements",
                method=scope["method"],
                route=route,
                statements=dict(record.statements.most_common(5)),
            )
