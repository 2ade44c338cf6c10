"""The outermost layer around the application: request ids, access log, metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import structlog
from structlog.contextvars import bound_contextvars, unbind_contextvars

from muniment.observability.request_record import (
    RequestRecord,
    StatementLimits,
    current_work,
    request_id_from,
)
from muniment.observability.request_span import describe_request, request_span
from muniment.observability.statement_watch import report_excess

if TYPE_CHECKING:
    from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

    from muniment.observability.metrics import Metrics
    from muniment.observability.metrics.requests import RequestMetrics

Headers = list[tuple[bytes, bytes]]
CrashResponse = Callable[[RequestRecord], tuple[int, Headers, bytes]]
"""Makes status, headers and body of the answer to a request that failed unforeseen."""

RequestEnded = Callable[[str, str, int, float], None]
"""Told route template, method, status and seconds of a request when it ended."""

UNMATCHED = "(unmatched)"
"""The route of requests that no route matches: one series, whatever paths are probed."""
CLIENT_CLOSED = 499
"""Status in logs and metrics of a request that ended without a response."""
_RECORD = "muniment_request"
_EVENTS = b"text/event-stream"
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
        self,
        app: ASGIApp,
        metrics: Metrics,
        headers: Headers,
        crash_response: CrashResponse,
        *,
        limits: StatementLimits | None = None,
        tell: Sequence[RequestEnded] = (),
    ) -> None:
        """Wrap `app`; `headers` are added to every response that does not set them itself.

        A request with more statements than `limits` allow is reported. Those of `tell` are told
        when a request ended; the time of a stream of events is that until it began.
        """
        self._tell = tell
        self._app = app
        self._metrics = metrics
        self._headers = headers
        self._crash_response = crash_response
        self._limits = limits or StatementLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        began = perf_counter()
        sent_id = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
        record = RequestRecord(request_id_from(sent_id))
        scope.setdefault("state", {})[_RECORD] = record
        id_header = (b"x-request-id", record.request_id.encode())
        response = _Response(send, [id_header], self._headers, record, self._metrics.requests)
        token = current_work.set(record)
        self._metrics.requests.began()
        # Probes come every few seconds and would fill a collector with nothing.
        span = request_span(cast("HTTPScope", scope), collect=scope["path"] not in _ROUTINE)
        with span, bound_contextvars(request_id=record.request_id):
            try:
                await self._app(scope, receive, response.send)
            except Exception:
                # The process edge: nobody above can answer.
                _log.exception("request_crashed")
                if response.status is not None:
                    raise  # half a response went out; only closing the connection tells so
                await self._answer_crash(record, response.send)
            finally:
                self._report(cast("HTTPScope", scope), record, response, perf_counter() - began)
                current_work.reset(token)
                unbind_contextvars("org_id")  # bound when the caller was known

    async def _answer_crash(self, record: RequestRecord, send: Send) -> None:
        status, headers, body = self._crash_response(record)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _report(
        self, scope: HTTPScope, record: RequestRecord, response: _Response, seconds: float
    ) -> None:
        route: str = scope.get("path_template") or UNMATCHED
        status = CLIENT_CLOSED if response.status is None else response.status
        describe_request(record, scope["method"], scope.get("path_template"), status)
        self._measure((route, scope["method"], status), record, response, seconds)
        after = response.streams_after
        for tell in self._tell:
            tell(route, scope["method"], status, seconds if after is None else after)
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

    def _measure(
        self,
        request: tuple[str, str, int],
        record: RequestRecord,
        response: _Response,
        seconds: float,
    ) -> None:
        """Record a request, which is its route, method and status."""
        requests = self._metrics.requests
        if response.streams_after is not None:
            requests.stream_ended(*request, response.streams_after)
            return  # it may have run statements for hours
        route, method, _ = request
        requests.ended(*request, seconds)
        requests.sent(route, response.size)
        excess = record.excess(self._limits)
        self._metrics.statements.request_ran(route, record.statements.total(), excess)
        if excess is not None:
            report_excess(record, method=method, route=route)


class _Response:
    """What went out in answer to a request, and the headers that were added to it."""

    __slots__ = (
        "_always",
        "_began",
        "_record",
        "_requests",
        "_send",
        "_unless_set",
        "size",
        "status",
        "streams_after",
    )

    def __init__(
        self,
        send: Send,
        always: Headers,
        unless_set: Headers,
        record: RequestRecord,
        requests: RequestMetrics,
    ) -> None:
        self._send = send
        self._always = always
        self._unless_set = unless_set
        self._record = record
        self._requests = requests
        self._began = perf_counter()
        self.status: int | None = None
        self.size = 0
        self.streams_after: float | None = None
        """Seconds until a stream of events began, if the response is one."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.size += len(message["body"])
        elif message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message["headers"])
            present = dict(headers)
            if present.get(b"content-type", b"").startswith(_EVENTS):
                self.streams_after = perf_counter() - self._began
                self._requests.stream_began()
            headers += [header for header in self._unless_set if header[0] not in present]
            headers += [*self._always, *self._record.response_headers]
            message["headers"] = headers
        await self._send(message)
