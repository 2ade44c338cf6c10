"""A collector of traces on loopback: OTLP over HTTP, decoded and kept for a test to look at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.waiting import until


@dataclass(frozen=True)
class CollectedSpan:
    """One span as it was sent."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    """Empty for the first of a trace."""
    attributes: dict[str, Any]
    resource: dict[str, Any]
    error: bool
    status_message: str
    events: list[str]
    nanoseconds: int
    began: int


class Collector:
    """Where spans arrive."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.spans: list[CollectedSpan] = []
        self.bodies: list[bytes] = []
        self.paths: set[str] = set()

    def named(self, name: str) -> list[CollectedSpan]:
        return [span for span in self.spans if span.name == name]

    async def one(self, name: str) -> CollectedSpan:
        """Wait for a span and return it; there must be no other of its name."""
        await until(lambda: self.named(name))
        [span] = self.named(name)
        return span

    def children(self, parent: CollectedSpan) -> list[CollectedSpan]:
        mine = [span for span in self.spans if span.parent_id == parent.span_id]
        return sorted(mine, key=lambda span: span.began)

    def received(self, body: bytes) -> None:
        self.bodies.append(body)
        request = ExportTraceServiceRequest.FromString(body)
        for group in request.resource_spans:
            resource = _values(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_collected(span, resource) for span in scope.spans]


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector while the context is open."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.paths.add(self.path)
            found.received(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found = Collector(server.server_address[1])
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        try:
            yield found
        finally:
            server.shutdown()
            serving.join()


def _collected(span: Any, resource: dict[str, Any]) -> CollectedSpan:
    return CollectedSpan(
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_values(span.attributes),
        resource=resource,
        error=span.status.code == 2,
        status_message=span.status.message,
        events=[event.name for event in span.events],
        nanoseconds=span.end_time_unix_nano - span.start_time_unix_nano,
        began=span.start_time_unix_nano,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
