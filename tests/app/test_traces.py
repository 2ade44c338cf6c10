"""One trace from a request through what it enqueues to the job and its statements."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import structlog
from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from muniment.admission import for_members
from muniment.db import Database, TenantScope, UnitOfWork, load_statements
from muniment.jobs import Lane, RunningJob, Worker, enqueue, task
from muniment.jobs.tracing import TracingObserver
from muniment.observability.tracing import configure_tracing
from muniment.settings import Settings
from muniment.tenancy.permissions import Action
from tests.app.conftest import application, client_of
from tests.collector import CollectedSpan, Collector, collector
from tests.waiting import until

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
SERVER, CLIENT, CONSUMER = 2, 3, 5  # as the protocol numbers them
_tenancy = load_statements("muniment.tenancy")


class Secret(msgspec.Struct):
    text: str


@task(kind="tests.traced", lane=Lane.FAST, max_attempts=1)
async def traced(job: RunningJob, payload: Secret) -> None:
    """Run a statement, log a line, and fail if told so."""
    async with job.unit_of_work() as work:
        await _tenancy.oldest_workspace(work)
    structlog.get_logger().info("worked")
    if payload.text.startswith("fail"):
        raise ValueError(payload.text)


@post("/v1/test/enqueue/{text:str}", action=Action.ORGANIZATION_READ)
async def enqueue_traced(
    uow: NamedDependency[SkipValidation[UnitOfWork]], text: FromPath[str]
) -> str:
    return str(await enqueue(uow, traced, Secret(text)))


@pytest.fixture
def receiver() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are sent at once, and no variable of the machine plays a part."""
    for name in ("ENDPOINT", "TRACES_ENDPOINT"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")


def sending_to(endpoint: str, **changes: Any) -> Settings:
    return Settings(data_dir=Path("/nowhere"), otlp_endpoint=endpoint, **changes)


@asynccontextmanager
async def serving(
    database: Database, worker_database: Database, api_key: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with a worker beside it."""
    app = application(database)
    app.register(for_members([enqueue_traced]))
    worker = Worker(worker_database, [traced], {}, {Lane.FAST: 2}, observers=[TracingObserver()])
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    try:
        async with client_of(app) as client:
            client.headers["authorization"] = f"Bearer {api_key}"
            yield client
    finally:
        stop.set()
        await running


async def ended(database: Database, scope: TenantScope, job_id: UUID | str) -> str:
    """Wait until a job has ended and return how."""
    status = ""

    async def has_ended() -> bool:
        nonlocal status
        async with database.unit_of_work(scope) as work:
            status = await work.connection.fetchval(
                "SELECT status FROM jobs WHERE job_id = $1", UUID(str(job_id))
            )
        return status in {"succeeded", "failed"}

    await until(has_ended)
    return status


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


async def test_one_trace_from_request_to_job(
    database: Database,
    worker_database: Database,
    scope: TenantScope,
    api_key: str,
    receiver: Collector,
    log: io.StringIO,
) -> None:
    with configure_tracing(sending_to(receiver.endpoint), "api"):
        async with serving(database, worker_database, api_key) as client:
            response = await client.post(
                "/v1/test/enqueue/hushhush", headers={"traceparent": CALLER}
            )
            assert response.status_code == 201
            job_id = response.json() if response.text.startswith('"') else response.text
            assert await ended(database, scope, job_id) == "succeeded"
            job = await receiver.one("job tests.traced")
    request = await receiver.one("POST /v1/test/enqueue/{text}")

    assert {span.trace_id for span in receiver.spans} == {TRACE}
    _is_of_the_request(request, response, scope)
    _is_of_the_job(job, job_id, request, scope)
    _have_statements(receiver, request, job)
    assert (
        request.resource
        | {
            "service.name": "muniment",
            "muniment.role": "api",
        }
        == request.resource
    )
    assert receiver.paths == {"/v1/traces"}
    everything = b"".join(receiver.bodies)
    assert b"hushhush" not in everything  # neither path nor payload
    assert b"SELECT" not in everything
    assert api_key.encode() not in everything

    [answered] = [line for line in lines(log) if line["event"] == "request"]
    [worked] = [line for line in lines(log) if line["event"] == "worked"]
    assert (answered["trace_id"], answered["span_id"]) == (TRACE, request.span_id)
    assert (worked["trace_id"], worked["span_id"]) == (TRACE, job.span_id)
    assert (worked["job_id"], worked["org_id"]) == (job_id, str(scope.org_id))


def _is_of_the_request(
    request: CollectedSpan, response: httpx.Response, scope: TenantScope
) -> None:
    assert (request.kind, request.parent_id) == (SERVER, CALLER.split("-")[2])
    assert (
        request.attributes
        | {
            "http.request.method": "POST",
            "http.route": "/v1/test/enqueue/{text}",
            "http.response.status_code": 201,
            "url.scheme": "http",
            "muniment.request.id": response.headers["x-request-id"],
            "muniment.org.id": str(scope.org_id),
        }
        == request.attributes
    )
    assert not request.error


def _is_of_the_job(
    job: CollectedSpan, job_id: str, request: CollectedSpan, scope: TenantScope
) -> None:
    assert (job.kind, job.parent_id) == (CONSUMER, request.span_id)
    assert (
        job.attributes
        | {
            "messaging.destination.name": "fast",
            "muniment.job.id": job_id,
            "muniment.job.kind": "tests.traced",
            "muniment.job.attempt": 1,
            "muniment.org.id": str(scope.org_id),
        }
        == job.attributes
    )
    assert job.attributes["muniment.job.waited_ms"] >= 0


def _have_statements(receiver: Collector, request: CollectedSpan, job: CollectedSpan) -> None:
    of_request = receiver.children(request)
    assert [span.name for span in of_request if span is not job][-2:] == [
        "jobs.insert_jobs",
        "db.commit",
    ]
    of_job = [span.name for span in receiver.children(job)]
    assert of_job == ["db.begin", "tenancy.oldest_workspace", "jobs.hold_job", "db.commit"]
    statement = receiver.named("tenancy.oldest_workspace")[0]
    assert statement.kind == CLIENT
    assert statement.attributes["db.system.name"] == "postgresql"
    assert 0 < statement.nanoseconds < 10**9
    assert job.began <= statement.began


async def test_an_error_is_told_by_kind_alone(
    database: Database,
    worker_database: Database,
    scope: TenantScope,
    api_key: str,
    receiver: Collector,
    log: io.StringIO,
) -> None:
    with configure_tracing(sending_to(receiver.endpoint), "worker"):
        async with serving(database, worker_database, api_key) as client:
            job_id = (await client.post("/v1/test/enqueue/fail-hunter2")).text.strip('"')
            assert await ended(database, scope, job_id) == "failed"
            assert (await client.get("/v1/test/crash")).status_code == 500
            assert (await client.get("/v1/test/unstorable")).status_code < 500
            job = await receiver.one("job tests.traced")
            crash = await receiver.one("GET /v1/test/crash")
    assert job.error
    assert job.attributes["error.type"] == "ValueError"
    assert crash.error
    assert crash.attributes["error.type"] == "internal_error"
    assert [job.status_message, crash.status_message] == ["", ""]
    assert job.events + crash.events == []
    assert b"hunter2" not in b"".join(receiver.bodies)
    # How the job ended is logged after its span has ended, in its trace all the same.
    [failed] = [line for line in lines(log) if line["event"] == "job failed"]
    assert failed["trace_id"] == job.trace_id


async def test_without_a_collector_ids_join_the_lines_all_the_same(
    database: Database,
    worker_database: Database,
    scope: TenantScope,
    api_key: str,
    log: io.StringIO,
) -> None:
    async with serving(database, worker_database, api_key) as client:
        first = (await client.post("/v1/test/enqueue/a")).text.strip('"')
        second = await client.post("/v1/test/enqueue/fail", headers={"traceparent": CALLER})
        await ended(database, scope, first)
        await ended(database, scope, second.text.strip('"'))
    by_trace: dict[str, set[str]] = {}
    for line in lines(log):
        if "trace_id" in line and line["event"] != "slow_statement":
            assert "span_id" not in line  # nobody has that span
            by_trace.setdefault(line["trace_id"], set()).add(line["event"])
    [ours] = by_trace.keys() - {TRACE}
    assert by_trace == {ours: {"request", "worked"}, TRACE: {"request", "worked", "job failed"}}


@pytest.mark.parametrize(
    "sent",
    [
        ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"],
        ["00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"],
        ["00-00000000000000000000000000000000-b7ad6b7169203331-01"],
        ["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"],
        ["ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
        ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"],
        ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" + "-x" * 300],
        ["'; DROP TABLE jobs; --"],
        ["\xff\xfe"],
        [""],
        [CALLER, CALLER],
    ],
)
async def test_a_malformed_traceparent_is_ignored(
    client: httpx.AsyncClient, receiver: Collector, sent: list[str]
) -> None:
    headers = [(b"traceparent", value.encode("latin-1")) for value in sent]
    with configure_tracing(sending_to(receiver.endpoint), "api"):
        response = await client.get("/v1/test/organization", headers=headers)
        assert response.status_code == 200
        request = await receiver.one("GET /v1/test/organization")
    assert request.trace_id != TRACE
    assert request.parent_id == ""


async def test_a_later_version_of_traceparent_is_understood(
    client: httpx.AsyncClient, receiver: Collector
) -> None:
    with configure_tracing(sending_to(receiver.endpoint), "api"):
        await client.get(
            "/v1/test/organization", headers={"traceparent": f"cc{CALLER[2:]}-what-comes"}
        )
        assert (await receiver.one("GET /v1/test/organization")).trace_id == TRACE


async def test_whoever_wants_no_traces_gets_none(
    client: httpx.AsyncClient, receiver: Collector
) -> None:
    with configure_tracing(sending_to(receiver.endpoint, trace_sample_ratio=0), "api"):
        for _ in range(20):
            await client.get("/v1/test/organization", headers={"traceparent": CALLER})
    assert receiver.spans == []


async def test_a_caller_who_is_not_sampled_is_not_sampled_here(
    client: httpx.AsyncClient, receiver: Collector
) -> None:
    with configure_tracing(sending_to(receiver.endpoint), "api"):
        await client.get("/v1/test/organization", headers={"traceparent": f"{CALLER[:-2]}00"})
    assert receiver.spans == []


async def test_probes_and_unknown_paths(client: httpx.AsyncClient, receiver: Collector) -> None:
    with configure_tracing(sending_to(receiver.endpoint), "api"):
        for path in ("/healthz", "/readyz", "/metrics", "/v1/no-such-thing/hushhush"):
            await client.get(path)
        await client.request("BREW", "/v1/test/organization")
    # The path of what no route matches is nobody's name, and a method may be anything.
    names = {span.name for span in receiver.spans if span.kind == SERVER}
    assert "GET" in names
    assert names - {"GET"} <= {"HTTP", "HTTP /v1/test/organization"}
    assert b"hushhush" not in b"".join(receiver.bodies)
