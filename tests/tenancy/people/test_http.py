"""Signing up, in and out over HTTP: cookies, tokens, and other sites."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest

from muniment.db import Database, observe_statements
from muniment.settings import Settings
from tests.app.conftest import application, client_of

PASSWORD = "granite lantern tide"
ADA = {
    "email": "ada@example.com",
    "password": PASSWORD,
    "name": "Ada",
    "organization": "Analysts",
}


def served(database: Database, **settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    chosen = Settings(_env_file=None, data_dir=Path(tempfile.gettempdir()), **settings)  # type: ignore[call-arg]
    return client_of(application(database, chosen))


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with served(database) as client:
        yield client


async def sign_up(client: httpx.AsyncClient, **changes: str) -> dict[str, Any]:
    """Sign up; the client keeps the cookie, and sends the token from now on."""
    answer = await client.post("/v1/sign-up", json=ADA | changes)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    client.headers["x-csrf-token"] = told["csrf_token"]
    return told


def cookie_of(answer: httpx.Response) -> Any:
    (header,) = answer.headers.get_list("set-cookie")
    (cookie,) = SimpleCookie(header).values()
    return cookie


def code_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_signing_up_sets_a_cookie_and_lets_one_in(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/sign-up", json=ADA)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    cookie = cookie_of(answer)
    assert cookie.key == "muniment_session"
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "lax", "/")
    assert not cookie["secure"]
    assert not cookie["domain"]
    assert 29 * 86400 < int(cookie["max-age"]) <= 30 * 86400
    assert cookie.value not in answer.text
    told = answer.json()
    assert told["organization"] | {"id": ""} == {"id": "", "name": "Analysts", "role": "owner"}
    assert (await client.get("/v1/session")).json() == told
    assert (await client.get("/v1/documents")).status_code == 200


@pytest.mark.parametrize("how", ["public_url", "scheme"])
async def test_over_https_the_cookie_is_for_this_host_only(database: Database, how: str) -> None:
    settings = {"public_url": "https://test"} if how == "public_url" else {}
    async with served(database, **settings) as client:
        client.base_url = httpx.URL("https://test")
        answer = await client.post("/v1/sign-up", json=ADA)
        cookie = cookie_of(answer)
        assert cookie.key == "__Host-muniment_session"
        assert cookie["secure"]
        assert (await client.get("/v1/session")).status_code == 200
        # A sibling host can plant a cookie of the other name: it counts for nothing.
        client.cookies.clear()
        client.cookies.set("muniment_session", cookie.value)
        assert code_of(await client.get("/v1/session"))[0] == 401


async def test_a_taken_address_and_closed_doors(database: Database) -> None:
    async with served(database) as client:
        await sign_up(client)
        assert code_of(await client.post("/v1/sign-up", json=ADA)) == (409, "email_taken")
    async with served(database, sign_up=False) as client:
        answer = await client.post("/v1/sign-up", json=ADA)
        assert code_of(answer) == (403, "sign_up_closed")


async def test_signs_in_with_a_new_session_each_time(client: httpx.AsyncClient) -> None:
    await sign_up(client)
    planted = client.cookies["muniment_session"]
    answer = await client.post(
        "/v1/sign-in", json={"email": "ada@example.com", "password": PASSWORD}
    )
    assert answer.status_code == 200
    assert cookie_of(answer).value != planted
    answer = await client.post("/v1/sign-in", json={"email": "ada@example.com", "password": "no"})
    assert code_of(answer) == (401, "wrong_credentials")
    assert "set-cookie" not in answer.headers


async def test_too_many_attempts_say_when_to_come_back(database: Database) -> None:
    async with served(database, sign_in_attempts_per_account=1) as client:
        wrong = {"email": "ada@example.com", "password": "wrong"}
        await client.post("/v1/sign-in", json=wrong)
        answer = await client.post("/v1/sign-in", json=wrong)
        assert code_of(answer) == (429, "too_many_attempts")
        assert 0 < int(answer.headers["retry-after"]) <= 1800


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site", "origin": "http://test"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_another_site_cannot_sign_a_visitor_in(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    await sign_up(client)
    given = {"email": "ada@example.com", "password": PASSWORD}
    for address in ("/v1/sign-in", "/v1/sign-up", "/v1/password-resets"):
        answer = await client.post(address, json=given, headers=headers)
        assert code_of(answer) == (403, "cross_site_request")
    answer = await client.post("/v1/sign-in", json=given, headers={"origin": "http://test"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_what_a_form_can_send_does_not_sign_in(client: httpx.AsyncClient, kind: str) -> None:
    await sign_up(client)
    answer = await client.post(
        "/v1/sign-in",
        content=b'{"email": "ada@example.com", "password": "granite lantern tide"}',
        headers={"content-type": kind},
    )
    assert code_of(answer) == (415, "unsupported_media_type")


async def test_changes_by_cookie_need_the_token(client: httpx.AsyncClient) -> None:
    await sign_up(client)
    del client.headers["x-csrf-token"]
    for method, address in (
        ("POST", "/v1/sign-out"),
        ("POST", "/v1/sign-out-everywhere"),
        ("POST", "/v1/password"),
        ("PATCH", "/v1/session"),
        ("PATCH", "/v1/user"),
        ("DELETE", "/v1/sessions/018f0000-0000-7000-8000-000000000000"),
    ):
        answer = await client.request(method, address, json={})
        assert code_of(answer) == (403, "wrong_csrf_token"), address
    assert (await client.get("/v1/session")).status_code == 200


async def test_signing_out_counts_at_once(database: Database) -> None:
    async with served(database) as client, served(database) as other_process:
        await sign_up(client)
        other_process.cookies = httpx.Cookies(client.cookies)
        assert (await other_process.get("/v1/session")).status_code == 200
        answer = await client.post("/v1/sign-out")
        assert answer.status_code == 204
        assert cookie_of(answer)["max-age"] == "0"
        assert "muniment_session" not in client.cookies
        assert code_of(await client.get("/v1/session"))[0] == 401
        # The other process hears of it when the transaction commits.
        async with asyncio.timeout(5):
            while (await other_process.get("/v1/session")).status_code != 401:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


async def test_sessions_are_listed_and_ended(client: httpx.AsyncClient) -> None:
    await sign_up(client)
    phone = httpx.AsyncClient(transport=client._transport, base_url="http://test")
    await phone.post("/v1/sign-in", json={"email": "ada@example.com", "password": PASSWORD})
    items = (await client.get("/v1/sessions")).json()["items"]
    assert [item["current"] for item in items] == [False, True]
    assert (await client.delete(f"/v1/sessions/{items[0]['id']}")).status_code == 204
    assert (await phone.get("/v1/session")).status_code == 401
    answer = await client.delete(f"/v1/sessions/{items[0]['id']}")
    assert code_of(answer) == (404, "session_not_found")
    await client.post("/v1/sign-out-everywhere")
    assert (await client.get("/v1/session")).status_code == 401


async def test_changes_password_and_name(client: httpx.AsyncClient) -> None:
    await sign_up(client)
    phone = httpx.AsyncClient(transport=client._transport, base_url="http://test")
    await phone.post("/v1/sign-in", json={"email": "ada@example.com", "password": PASSWORD})
    answer = await client.post(
        "/v1/password", json={"current_password": "wrong", "new_password": "copper kettle bay"}
    )
    assert code_of(answer) == (403, "wrong_password")
    answer = await client.post(
        "/v1/password", json={"current_password": PASSWORD, "new_password": "1234567890"}
    )
    assert code_of(answer) == (422, "unfit_password")
    assert answer.json()["errors"][0]["pointer"] == "#/new_password"
    answer = await client.post(
        "/v1/password", json={"current_password": PASSWORD, "new_password": "copper kettle bay"}
    )
    assert answer.status_code == 204
    assert (await phone.get("/v1/session")).status_code == 401
    answer = await client.patch("/v1/user", json={"name": " Countess "})
    assert answer.json()["name"] == "Countess"
    assert (await client.get("/v1/session")).json()["user"]["name"] == "Countess"


async def test_switching_to_an_organization_of_others_is_not_found(
    client: httpx.AsyncClient,
) -> None:
    told = await sign_up(client)
    answer = await client.patch(
        "/v1/session", json={"organization_id": "018f0000-0000-7000-8000-000000000000"}
    )
    assert code_of(answer) == (404, "organization_not_found")
    answer = await client.patch("/v1/session", json={"organization_id": told["organization"]["id"]})
    assert answer.json() == told


async def test_asking_for_a_link_is_answered_alike(client: httpx.AsyncClient) -> None:
    await sign_up(client)
    answers = [
        await client.post("/v1/password-resets", json={"email": email})
        for email in ("ada@example.com", "nobody@example.com")
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    answer = await client.post(
        "/v1/password-resets/complete", json={"token": "made-up", "password": PASSWORD}
    )
    assert code_of(answer) == (422, "invalid_reset_token")


async def test_every_value_is_bounded(client: httpx.AsyncClient) -> None:
    for field in ADA:
        answer = await client.post("/v1/sign-up", json=ADA | {field: "x" * 2000})
        assert answer.status_code == 422, field
        answer = await client.post("/v1/sign-up", json=ADA | {field: ""})
        assert answer.status_code == 422, field
    answer = await client.post("/v1/sign-up", json=ADA | {"name": "a\x00b"})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("address", "statements"),
    [
        (
            "/v1/session",
            {"tenancy.people.session_state", "tenancy.people.list_memberships"},
        ),
        ("/v1/sessions", {"tenancy.people.list_sessions"}),
    ],
)
async def test_reading_takes_a_constant_number_of_statements(
    client: httpx.AsyncClient, address: str, statements: set[str]
) -> None:
    await sign_up(client)
    await client.get(address)
    ran: list[str] = []
    with observe_statements(lambda name, _seconds, _error: ran.append(name)):
        await client.get(address)
    assert sorted(name for name in ran if not name.startswith("db.")) == sorted(statements)


@pytest.mark.parametrize(
    ("column", "by"), [("expires_at", "31 days"), ("last_seen_at", "73 hours")]
)
async def test_an_ended_session_lets_nobody_in(
    client: httpx.AsyncClient, database: Database, column: str, by: str
) -> None:
    answer = await client.post("/v1/sign-up", json=ADA)
    assert answer.status_code == 201
    async with database.operator() as work:
        await work.connection.execute(f"UPDATE sessions SET {column} = {column} - interval '{by}'")
    assert code_of(await client.get("/v1/session"))[0] == 401
