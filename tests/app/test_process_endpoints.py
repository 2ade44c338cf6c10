"""Health, metrics, request ids and the access log, as they look from outside."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg

from muniment.db import Database, TenantScope
from muniment.settings import Settings
from tests.app.conftest import application, client_of


def requests_logged(log: io.StringIO) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in lines if line["event"] == "request"]


async def test_health_asks_no_key_and_no_database(client: httpx.AsyncClient) -> None:
    del client.headers["authorization"]
    response = await client.get("/healthz")
    assert response.json()["status"] == "ok"
    ready = await client.get("/readyz")
    assert [check["name"] for check in ready.json()["checks"]] == [
        "database",
        "migrations",
        "queue",
    ]


async def test_readiness_fails_while_a_migration_is_pending(
    client: httpx.AsyncClient, clone: Any
) -> None:
    with psycopg.connect(clone.installation.owner_dsn) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == "not_ready"
    assert [fault["check"] for fault in problem["errors"]] == ["migrations"]
    assert [check["ok"] for check in problem["checks"]] == [True, False]
    assert response.headers["retry-after"] == "5"


async def test_metrics_tell_of_requests_statements_and_pools(client: httpx.AsyncClient) -> None:
    await client.get("/v1/test/things")
    await client.get("/v1/test/things/no-uuid")
    await client.get("/any/path/at/all")
    response = await client.get("/metrics?gathered=false")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    requests = "muniment_http_request_duration_seconds_count"
    for line in (
        f'{requests}{{method="GET",route="/v1/test/things",status="2xx"}} 1.0',
        f'{requests}{{method="GET",route="(unmatched)",status="4xx"}} 2.0',
        'muniment_db_statement_duration_seconds_count{statement="tenancy.api_key_of_caller"} 1.0',
        'muniment_db_pool_max{pool="app"} 5.0',
        'muniment_db_pool_max{pool="operator"} 2.0',
        'muniment_cache_misses_total{namespace="api_keys"} 1.0',
        'muniment_cache_hits_total{level="memory",namespace="api_keys"} 0.0',
        "muniment_cache_listening 1.0",
        'muniment_rate_limit_checks_total{kind="organization"} 1.0',
    ):
        assert line in response.text
    assert "/any/path" not in response.text
    gathered = await client.get("/metrics")
    assert 'muniment_db_pool_max{pool="app",process="api",slot="0"} 5.0' in gathered.text


async def test_streams_of_events_are_connections_and_no_slow_requests(
    client: httpx.AsyncClient,
) -> None:
    await client.get("/v1/test/events")
    text = (await client.get("/metrics?gathered=false")).text
    assert 'muniment_realtime_connections{transport="sse"} 0.0' in text
    assert 'muniment_realtime_connections_opened_total{transport="sse"} 1.0' in text
    count = "muniment_http_request_duration_seconds_count"
    assert f'{count}{{method="GET",route="/v1/test/events",status="2xx"}} 1.0' in text
    assert "muniment_http_requests_in_progress 1.0" in text  # the scrape itself


async def test_request_ids_are_echoed_or_made(client: httpx.AsyncClient) -> None:
    kept = await client.get("/healthz", headers={"x-request-id": "from-a-proxy:1"})
    assert kept.headers["x-request-id"] == "from-a-proxy:1"
    made = await client.get("/nowhere", headers={"x-request-id": "two words"})
    assert UUID(made.headers["x-request-id"]).version == 7
    assert made.json()["request_id"] == made.headers["x-request-id"]


async def test_each_request_is_one_line_without_its_contents(
    client: httpx.AsyncClient, log: io.StringIO, scope: TenantScope, api_key: str
) -> None:
    await client.get("/v1/test/things")  # who asks is known from then on
    await client.get("/v1/test/things?limit=3&q=private", headers={"x-request-id": "r"})
    await client.get("/nowhere/private")
    await client.get("/healthz")
    _, found, unknown = requests_logged(log)
    assert found.pop("ms") > 0
    assert UUID(str(scope.org_id)) == UUID(found.pop("org_id"))
    del found["time"]
    assert len(found.pop("trace_id")) == 32
    assert found == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "route": "/v1/test/things",
        "status": 200,
        "statements": 0,
        "request_id": "r",
    }
    assert (unknown["route"], unknown["code"]) == ("(unmatched)", "not_found")
    assert "org_id" not in unknown
    assert "private" not in log.getvalue()
    assert api_key not in log.getvalue()


async def test_repeated_statement_is_reported(client: httpx.AsyncClient, log: io.StringIO) -> None:
    def reported() -> list[dict[str, int]]:
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        return [line["statements"] for line in lines if line["event"] == "too_many_statements"]

    await client.get("/v1/test/repetitive", params={"times": 3})
    assert reported() == []
    await client.get("/v1/test/repetitive", params={"times": 5})
    assert [counts["tenancy.oldest_workspace"] for counts in reported()] == [5]
    text = (await client.get("/metrics?gathered=false")).text
    route = 'route="/v1/test/repetitive"'
    excessive = "muniment_http_requests_with_excessive_statements_total"
    assert f'{excessive}{{excess="repeated",{route}}} 1.0' in text
    assert f"muniment_http_request_statements_count{{{route}}} 2.0" in text


async def test_development_shows_statement_and_call_site(
    database: Database, api_key: str, log: io.StringIO, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, development=True, slow_statement_ms=0.0001)
    async with client_of(application(database, settings)) as client:
        client.headers["authorization"] = f"Bearer {api_key}"
        await client.get("/v1/me")
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    slow = [line for line in lines if line["event"] == "slow_statement"]
    [key] = [line for line in slow if line["statement"] == "tenancy.api_key_of_caller"]
    assert key["called_from"].startswith("muniment/tenancy/authentication.py:")
    assert key["sql"].startswith("/* tenancy.api_key_of_caller */")
    assert "$1" in key["sql"]
    assert api_key not in log.getvalue()
