"""Every failure is one shape, with a stable code, and tells nothing that it should not."""

from __future__ import annotations

import asyncio
import io
from typing import Any
from uuid import UUID

import httpx
import pytest

from muniment.db.errors import PoolExhausted
from muniment.problems import known_problems
from tests.app.conftest import application, client_of

MEMBERS = {"type", "title", "status", "detail", "code", "request_id", "errors"}
UNSUPPORTED = "unsupported_media_type"
JSON = {"content-type": "application/json"}


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """Return the body, having checked that it has the one shape."""
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert set(problem) - {"checks"} == MEMBERS
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["type"] == f"/docs#problem-{problem['code']}"
    assert problem["detail"]
    assert problem["code"] in {known.code for known in known_problems()}
    return problem


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/nowhere", 404, "not_found"),
        ("GET", "/schema/nowhere", 404, "not_found"),
        ("GET", "/v1/test/things/no-uuid", 404, "not_found"),
        ("GET", "/v1/test/things/%FF", 404, "not_found"),
        ("DELETE", "/v1/test/things", 405, "method_not_allowed"),
        ("GET", "/v1/test/crash", 500, "internal_error"),
        ("GET", "/v1/test/unstorable", 422, "validation_failed"),
        ("POST", "/v1/test/lose-connection", 503, "database_unavailable"),
    ],
)
async def test_failures_have_one_shape(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert problem_of(response)["code"] == code


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", JSON, 400, "invalid_request"),
        (b"\xff\xfe", JSON, 400, "invalid_request"),
        (b'{"name": "\\ud800"}', JSON, 400, "invalid_request"),
        (b"", {}, 400, "invalid_request"),
        (b"name=x", {"content-type": "application/x-www-form-urlencoded"}, 415, UNSUPPORTED),
        (b'{"name": "x"}', {}, 415, UNSUPPORTED),
        (b'{"name": "x"}', {"content-type": "text/plain"}, 415, UNSUPPORTED),
        (b"[" * 100_000, JSON, 400, "invalid_request"),
        (b'{"name": "%s"}' % (b"x" * 2_000_000), JSON, 413, "body_too_large"),
        (b'{"name": "a\\u0000b"}', JSON, 422, "validation_failed"),
        (b"null", JSON, 422, "validation_failed"),
    ],
)
async def test_bodies_that_cannot_be_taken(
    client: httpx.AsyncClient, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    response = await client.post("/v1/test/rename", content=body, headers=headers)
    assert response.status_code == status
    assert problem_of(response)["code"] == code


async def test_body_without_announced_length_is_limited(client: httpx.AsyncClient) -> None:
    async def endless() -> Any:
        for _ in range(64):
            yield b'"' * 65_536

    response = await client.post("/v1/test/rename", content=endless(), headers=JSON)
    assert problem_of(response)["code"] == "body_too_large"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"name": 5}, {"pointer": "#/name", "detail": "Expected `str`, got `int`"}),
        (
            {"name": "x", "tags": ["a", 3]},
            {"pointer": "#/tags/1", "detail": "Expected `str`, got `int`"},
        ),
        (
            {"name": "x", "times": 0},
            {"pointer": "#/times", "detail": "Expected `int` >= 1"},
        ),
        ({}, {"pointer": "#", "detail": "Object missing required field `name`"}),
        (
            {"name": "x", "nmae": 1},
            {"pointer": "#", "detail": "Object contains unknown field `nmae`"},
        ),
    ],
)
async def test_faults_of_a_body_are_pointed_at(
    client: httpx.AsyncClient, body: object, fault: dict[str, str]
) -> None:
    response = await client.post("/v1/test/rename", json=body)
    assert response.status_code == 422
    assert problem_of(response)["errors"] == [fault]


@pytest.mark.parametrize("limit", ["0", "101", "many", "", "1e3"])
async def test_faults_of_a_parameter_are_named(client: httpx.AsyncClient, limit: str) -> None:
    response = await client.get("/v1/test/things", params={"limit": limit})
    assert response.status_code == 422
    [fault] = problem_of(response)["errors"]
    assert fault["parameter"] == "limit"


async def test_methods_that_are_allowed_are_told(client: httpx.AsyncClient) -> None:
    response = await client.put("/v1/test/things")
    assert set(response.headers["allow"].split(", ")) == {"GET", "OPTIONS"}


async def test_crash_tells_the_log_and_not_the_caller(
    client: httpx.AsyncClient, log: io.StringIO
) -> None:
    response = await client.get("/v1/test/crash")
    assert "hunter2" not in response.text
    [line] = [line for line in log.getvalue().splitlines() if "request_failed" in line]
    assert "hunter2" in line
    assert response.headers["x-request-id"] in line


async def test_reason_of_an_outage_stays_here(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/test/lose-connection")
    assert response.headers["retry-after"] == "1"
    assert "terminating" not in response.text


async def test_statement_that_takes_too_long(clone: Any, api_key: str) -> None:
    async with (
        clone.open(statement_timeout=0.05) as impatient,
        client_of(application(impatient)) as client,
    ):
        client.headers["authorization"] = f"Bearer {api_key}"
        response = await client.get("/v1/test/slow-statement")
    assert response.status_code == 503
    assert problem_of(response)["code"] == "statement_timed_out"


async def test_all_connections_busy(clone: Any, api_key: str) -> None:
    async with (
        clone.open(pool_size=2, acquire_timeout=0.05) as small,
        client_of(application(small)) as client,
        small.system(),
        small.system(),
    ):
        client.headers["authorization"] = f"Bearer {api_key}"
        response = await client.get("/v1/test/things")
    assert response.status_code == 503
    assert problem_of(response)["code"] == PoolExhausted.code
    assert response.headers["retry-after"] == "1"


async def test_no_key_and_wrong_keys(client: httpx.AsyncClient, api_key: str) -> None:
    codes = {
        "": "missing_credentials",
        "Basic dXNlcjpwYXNz": "missing_credentials",
        "Bearer": "missing_credentials",
        "Bearer mun_nobody": "invalid_credentials",
        f"Bearer {api_key}x": "invalid_credentials",
    }
    for header, code in codes.items():
        response = await client.get("/v1/test/things", headers={"authorization": header})
        assert response.status_code == 401
        assert problem_of(response)["code"] == code
        assert response.headers["www-authenticate"] == "Bearer"


async def test_key_is_asked_for_before_the_body_is_read(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/v1/test/rename", content=b"{", headers=JSON | {"authorization": "Bearer mun_nobody"}
    )
    assert response.status_code == 401


async def test_scope_is_that_of_the_key(client: httpx.AsyncClient, scope: Any) -> None:
    response = await client.get("/v1/test/organization")
    assert UUID(response.text) == scope.org_id


async def test_requests_side_by_side_keep_their_ids(client: httpx.AsyncClient) -> None:
    names = [f"caller-{number}" for number in range(20)]
    responses = await asyncio.gather(
        *(client.get("/v1/test/crash", headers={"x-request-id": name}) for name in names)
    )
    assert [problem_of(response)["request_id"] for response in responses] == names


def test_codes_are_unique_and_described() -> None:
    problems = known_problems()
    assert len({problem.code for problem in problems}) == len(problems)
    for problem in problems:
        assert problem.__doc__
        assert 400 <= problem.status < 600
