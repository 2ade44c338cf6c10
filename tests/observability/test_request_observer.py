"""What is measured and reported of requests, whatever is asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from muniment.db.statements import load_statements, observed
from muniment.observability.metrics import Metrics
from muniment.observability.request_observer import RequestObserver
from muniment.observability.request_record import StatementLimits
from muniment.observability.statement_watch import StatementWatch
from tests.observability.test_metrics import samples

STATEMENT = "observability.schema_revision"
load_statements("muniment.observability")  # whose texts are known from then on


def observer_of(app: Any, metrics: Metrics, **options: Any) -> RequestObserver:
    return RequestObserver(app, metrics, [], lambda _: (500, [], b""), **options)


async def ask(app: RequestObserver, path: str = "/", method: str = "GET") -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {
        "type": "http",
        "scheme": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "headers": [],
        "state": {},
    }
    await app(scope, None, send)  # type: ignore[arg-type]
    return sent


async def not_found(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"12345", "more_body": False})


async def test_unknown_paths_and_methods_make_no_series() -> None:
    metrics = Metrics("api")
    app = observer_of(not_found, metrics)
    with capture_logs():
        await ask(app, "/", "GET")
        await ask(app, "/", "MADE-UP")
        before = len(samples(metrics))
        for number in range(5000):
            await ask(app, f"/path/{number}", f"METHOD{number}" if number % 2 else "GET")
    found = samples(metrics)
    assert len(found) == before
    assert found["muniment_http_request_duration_seconds_count OTHER (unmatched) 4xx"] == 2501
    assert found["muniment_http_response_size_bytes_sum (unmatched)"] == 5002 * 5


async def test_a_stream_of_events_is_a_connection_while_it_lasts() -> None:
    opened, close = asyncio.Event(), asyncio.Event()

    async def events(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        opened.set()
        await close.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    metrics = Metrics("api")
    with capture_logs():
        task = asyncio.create_task(ask(observer_of(events, metrics)))
        await opened.wait()
        during = samples(metrics)
        close.set()
        await task
    after = samples(metrics)
    names = ("muniment_realtime_connections sse", "muniment_http_requests_in_progress")
    assert [during[name] for name in names] == [1, 0]
    assert [after[name] for name in names] == [0, 0]
    assert after["muniment_http_request_duration_seconds_count GET (unmatched) 2xx"] == 1


@pytest.mark.parametrize("development", [False, True])
async def test_excessive_requests_are_told_with_text_and_place_in_development(
    *, development: bool
) -> None:
    async def repetitive(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(4):
            with observed(STATEMENT):
                pass
        await not_found(scope, receive, send)

    metrics = Metrics("api")
    app = observer_of(repetitive, metrics, limits=StatementLimits(most=10, repeated=4))
    with StatementWatch(metrics, development=development).watching(), capture_logs() as log:
        await ask(app)
    [line] = [line for line in log if line["event"] == "too_many_statements"]
    assert line["statements"] == {STATEMENT: 4}
    assert ("shown" in line) is development
    if development:
        assert line["shown"][STATEMENT]["sql"].startswith(f"/* {STATEMENT} */ SELECT")
    found = samples(metrics)
    name = "muniment_http_requests_with_excessive_statements_total"
    assert found[f"{name} repeated (unmatched)"] == 1
    assert found["muniment_http_request_statements_sum (unmatched)"] == 4
