"""Sending traces: what is configured how, and a collector that is away harms nobody."""

from __future__ import annotations

import io
import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from muniment.db.statements import observed
from muniment.observability import tracing
from muniment.observability.errors import TracingUnavailable
from muniment.observability.logging import configure_logging
from muniment.observability.tracing import FLUSH_SECONDS, configure_tracing
from muniment.outside_services import outside_service
from muniment.settings import InvalidSetting, Settings, load_settings
from muniment.spans import begin, current_traceparent, is_collecting, stage
from tests.collector import Collector, collector
from tests.waiting import until


@pytest.fixture
def receiver() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is logged; no variable of the machine plays a part."""
    for name in ("EXPORTER_OTLP_ENDPOINT", "EXPORTER_OTLP_TRACES_ENDPOINT", "TRACES_SAMPLER"):
        monkeypatch.delenv(f"OTEL_{name}", raising=False)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    return stream


def settings(endpoint: str | None = None, **changes: Any) -> Settings:
    return Settings(data_dir=Path("/nowhere"), otlp_endpoint=endpoint, **changes)


def work(name: str = "work", parent: Any = None) -> Any:
    return begin(name, SpanKind.SERVER, parent=parent)


def events(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_nothing_is_collected_unless_it_is_configured() -> None:
    with configure_tracing(settings(), "api"):
        assert not is_collecting()
        with work() as span:
            assert not span.is_recording()
            assert current_traceparent() is not None
            with stage("part") as part:
                assert part is None
    assert current_traceparent() is None


def test_work_stages_and_calls_are_collected(receiver: Collector) -> None:
    with configure_tracing(settings(receiver.endpoint + "/"), "worker"):
        with observed("room.before"):
            pass  # of no request and no job
        with stage("before"):
            pass
        with work() as span, stage("part", {"files": 3}):
            with observed("room.statement"):
                pass
            with pytest.raises(ConnectionError), outside_service("smtp"):
                raise ConnectionError("to hunter2")
        with stage("after"):
            pass
    assert span.is_recording() is False
    by_name = {each.name: each for each in receiver.spans}
    assert set(by_name) == {"work", "part", "room.statement", "call smtp"}
    part = by_name["part"]
    assert part.parent_id == by_name["work"].span_id
    assert part.attributes == {"files": 3}
    assert {each.name for each in receiver.children(part)} == {"room.statement", "call smtp"}
    assert by_name["call smtp"].error
    assert by_name["call smtp"].attributes["error.type"] == "error"
    assert by_name["room.statement"].attributes["db.operation.name"] == "room.statement"
    assert part.resource["service.version"]
    assert part.resource["muniment.role"] == "worker"
    assert b"hunter2" not in b"".join(receiver.bodies)


def test_the_standard_variables_do_as_well(
    receiver: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=abc")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "archive")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    with configure_tracing(settings(), "api"), work():
        pass
    [span] = receiver.spans
    assert span.resource["service.name"] == "archive"
    assert span.resource["deployment.environment.name"] == "staging"

    for name, value in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ]:
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with configure_tracing(settings(), "api"), work():
                pass
    assert len(receiver.spans) == 1


def test_a_share_of_the_traces_is_sent(receiver: Collector) -> None:
    with configure_tracing(settings(receiver.endpoint, trace_sample_ratio=0.5), "api"):
        for _ in range(400):
            with work(), observed("room.statement"):
                pass
    works, statements = receiver.named("work"), receiver.named("room.statement")
    assert 100 < len(works) < 300
    # Whole traces or nothing of them.
    assert {span.trace_id for span in works} == {span.trace_id for span in statements}


@contextmanager
def deaf() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def closed() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}"


@pytest.mark.parametrize("away", [deaf, closed])
def test_a_collector_that_is_away_harms_nobody(away: Any, log: io.StringIO) -> None:
    with away() as endpoint:
        with configure_tracing(settings(endpoint), "api"):
            began = time.perf_counter()
            for _ in range(3000):  # more than the queue holds
                with work():
                    pass
            spent = time.perf_counter() - began
            leaving = time.perf_counter()
        left = time.perf_counter() - leaving
    assert spent < 3
    assert left < FLUSH_SECONDS + 0.5
    told = [line["event"] for line in events(log)]
    assert set(told) <= {"traces_not_sent"}
    assert len(told) <= 1


async def test_losses_are_told_once_in_a_while(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The collector refuses at once, so that batch after batch is lost.
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.05")
    with closed() as endpoint, configure_tracing(settings(endpoint), "api"):
        for _ in range(30):
            with work():
                pass
        await until(lambda: events(log))
        monkeypatch.setattr(tracing, "REPORT_SECONDS", 0)
        await until(lambda: sum(line["spans"] for line in events(log)) >= 10)
    [first, *_] = events(log)
    assert (first["event"], first["level"], first["spans"]) == ("traces_not_sent", "warning", 1)


@pytest.mark.parametrize("missing", ["opentelemetry.sdk.trace", "opentelemetry.exporter.otlp"])
def test_the_extra_is_named_where_it_is_missing(
    missing: str, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    for name in list(sys.modules):
        if name.startswith(missing):
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, missing, None)
    with (
        pytest.raises(TracingUnavailable, match=r"pip install 'muniment\[otel\]'"),
        configure_tracing(settings("http://127.0.0.1:4318"), "api"),
    ):
        pass
    # The standard variable may be meant for others on the machine: that is no reason to stop.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    with configure_tracing(settings(), "api"):
        assert not is_collecting()
    [line] = events(log)
    assert "muniment[otel]" in line["reason"]


@pytest.mark.parametrize("endpoint", ["localhost:4318", "grpc://localhost", "http://", "http:// x"])
def test_an_address_that_cannot_be(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_OTLP_ENDPOINT", endpoint)
    with pytest.raises(InvalidSetting, match="MUNIMENT_OTLP_ENDPOINT"):
        load_settings()
