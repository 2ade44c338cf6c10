"""Single sign-on: a browser's way to a real provider and back, and whose account it leads to."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt

from muniment.db import Database
from muniment.settings import InvalidSetting, Settings
from muniment.tenancy.people.oidc.attempt import _key
from muniment.tenancy.people.oidc.provider import open_provider
from tests.app.conftest import application, client_of
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, Provider, running_provider

PASSWORD = "granite lantern tide"
SECRET = b"test secret"
"""Of the installation that `application` makes."""
COOKIE = "muniment_oidc"
SESSION = "muniment_session"

Browser = httpx.AsyncClient
Browsers = Callable[[], Browser]


def settings_of(provider: Provider, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "data_dir": Path(tempfile.gettempdir()),
        "public_url": "http://test",
        "rate_limits": False,
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_name": "Example ID",
    }
    return Settings(_env_file=None, **given | changes)  # type: ignore[call-arg]


@asynccontextmanager
async def browsers_of(database: Database, settings: Settings) -> AsyncIterator[Browsers]:
    """Run the application; gives browsers that reach it and, over sockets, the provider."""
    opened: list[Browser] = []

    async with client_of(application(database, settings)) as client:

        def browser() -> Browser:
            mounts = {"http://test": client._transport}
            opened.append(httpx.AsyncClient(base_url="http://test", mounts=mounts))
            return opened[-1]

        try:
            yield browser
        finally:
            for one in opened:
                await one.aclose()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as provider:
        yield provider


@pytest.fixture
async def browsers(database: Database, provider: Provider) -> AsyncIterator[Browsers]:
    async with browsers_of(database, settings_of(provider)) as browsers:
        yield browsers


@pytest.fixture
def browser(browsers: Browsers) -> Browser:
    return browsers()


async def callback_of(browser: Browser, return_to: str = "/account") -> str:
    """Go to the provider and return where it sends the browser back to."""
    begun = await browser.get("/v1/sign-in/oidc", params={"return_to": return_to})
    assert begun.status_code == 302, begun.text
    assert begun.headers["cache-control"] == "no-store"
    there = await browser.get(begun.headers["location"])
    assert there.status_code == 302, there.text
    back: str = there.headers["location"]
    assert back.startswith("http://test/v1/sign-in/oidc/callback?")
    return back


async def sign_in(browser: Browser, return_to: str = "/account") -> httpx.Response:
    return await browser.get(await callback_of(browser, return_to))


async def session_of(browser: Browser, answer: httpx.Response) -> dict[str, Any]:
    """Return what the browser's new session is told."""
    assert answer.status_code == 303, answer.text
    told = await browser.get("/v1/session")
    assert told.status_code == 200, told.text
    session: dict[str, Any] = told.json()
    browser.headers["x-csrf-token"] = session["csrf_token"]
    return session


def code_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert SESSION not in answer.headers.get("set-cookie", "")
    return answer.status_code, answer.json()["code"]


async def users(database: Database) -> list[tuple[Any, ...]]:
    async with database.operator() as work:
        rows = await work.connection.fetch(
            "SELECT email, name, email_verified_at IS NOT NULL, password_hash IS NOT NULL,"
            " (SELECT count(*) FROM identities WHERE identities.user_id = users.user_id),"
            " (SELECT count(*) FROM sessions WHERE sessions.user_id = users.user_id)"
            " FROM users ORDER BY user_id"
        )
    return [tuple(row) for row in rows]


async def test_somebody_new_gets_an_account_and_a_session(
    browser: Browser, database: Database
) -> None:
    answer = await sign_in(browser, "/account?tab=sessions")
    assert answer.headers["location"] == "http://test/account?tab=sessions"
    cookies = answer.headers.get_list("set-cookie")
    [ours] = [cookie for cookie in cookies if cookie.startswith(SESSION)]
    assert "HttpOnly" in ours
    assert "SameSite=lax" in ours
    assert COOKIE not in browser.cookies
    session = await session_of(browser, answer)
    assert session["user"]["email"] == "grace@example.com"
    assert session["organization"] is None
    assert await users(database) == [("grace@example.com", "Grace Hopper", True, False, 1, 1)]
    # Nothing is theirs yet; they can begin something of their own.
    refused = await browser.get("/v1/organization")
    assert code_of(refused) == (403, "no_organization")
    founded = await browser.post("/v1/organizations", json={"name": "Compilers"})
    assert founded.status_code == 201, founded.text
    assert founded.json()["organization"]["role"] == "owner"
    assert (await browser.get("/v1/organization")).json()["name"] == "Compilers"
    assert len((await browser.get("/v1/workspaces")).json()["items"]) == 1


async def test_an_identity_is_its_subject_whatever_its_address(
    browsers: Browsers, provider: Provider, database: Database
) -> None:
    first = browsers()
    user = (await session_of(first, await sign_in(first)))["user"]
    provider.person |= {"email": "hopper@example.com", "email_verified": False}
    second = browsers()
    assert (await session_of(second, await sign_in(second)))["user"] == user
    provider.person |= {"sub": "subject-2", "email": "grace@example.com", "email_verified": True}
    third = browsers()  # another subject of the same verified address: the same person
    assert (await session_of(third, await sign_in(third)))["user"] == user
    assert [user[4] for user in await users(database)] == [2]


async def test_two_ways_back_at_once_make_one_account(
    browsers: Browsers, database: Database
) -> None:
    ways = [(browser := browsers(), await callback_of(browser)) for _ in range(4)]
    answers = await asyncio.gather(*(browser.get(back) for browser, back in ways))
    assert [answer.status_code for answer in answers] == [303] * 4
    assert await users(database) == [("grace@example.com", "Grace Hopper", True, False, 1, 4)]


async def sign_up(browser: Browser) -> dict[str, Any]:
    answer = await browser.post(
        "/v1/sign-up",
        json={
            "email": "grace@example.com",
            "password": PASSWORD,
            "name": "G. H.",
            "organization": "Navy",
        },
    )
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_an_account_of_the_same_verified_address_is_linked(
    browsers: Browsers, database: Database
) -> None:
    known = browsers()
    signed_up = await sign_up(known)
    async with database.operator() as work:
        await work.connection.execute("UPDATE users SET email_verified_at = now()")
    browser = browsers()
    session = await session_of(browser, await sign_in(browser))
    assert session["user"] == signed_up["user"]
    assert session["organization"]["name"] == "Navy"
    assert (await known.get("/v1/session")).status_code == 200
    assert await users(database) == [("grace@example.com", "G. H.", True, True, 1, 2)]


async def test_an_account_that_was_never_verified_is_handed_to_the_owner_of_the_address(
    browsers: Browsers, database: Database
) -> None:
    squatter = browsers()
    await sign_up(squatter)
    owner = browsers()
    await session_of(owner, await sign_in(owner))
    assert (await squatter.get("/v1/session")).status_code == 401
    credentials = {"email": "grace@example.com", "password": PASSWORD}
    assert (await browsers().post("/v1/sign-in", json=credentials)).status_code == 401
    assert await users(database) == [("grace@example.com", "G. H.", True, False, 1, 1)]


@pytest.mark.parametrize("claims", [{"email_verified": False}, {"email": None}, {"email": "none"}])
async def test_an_address_that_nobody_vouches_for_opens_nothing(
    browser: Browser, provider: Provider, database: Database, claims: dict[str, Any]
) -> None:
    provider.person |= claims
    assert code_of(await sign_in(browser)) == (403, "email_not_verified")
    del provider.person["email_verified"]
    assert code_of(await sign_in(browser)) == (403, "email_not_verified")
    assert await users(database) == []


async def test_without_sign_up_an_invitation_is_needed(
    database: Database, provider: Provider
) -> None:
    settings = settings_of(provider, oidc_sign_up=False)
    async with browsers_of(database, settings) as browsers:
        guest, host = browsers(), browsers()
        assert code_of(await sign_in(guest)) == (403, "no_account")
        assert await users(database) == []
        told = await host.post(
            "/v1/sign-up",
            json={
                "email": "host@example.com",
                "password": PASSWORD,
                "name": "H",
                "organization": "Hosts",
            },
        )
        host.headers["x-csrf-token"] = told.json()["csrf_token"]
        invitation = {"email": "grace@example.com", "role": "editor"}
        assert (await host.post("/v1/invitations", json=invitation)).status_code == 201
        await session_of(guest, await sign_in(guest))
        [offered] = (await guest.get("/v1/user/invitations")).json()["items"]
        answer = await guest.post(f"/v1/user/invitations/{offered['id']}/accept")
        assert answer.json()["organization"]["name"] == "Hosts"


async def test_a_way_back_belongs_to_the_browser_that_went(browsers: Browsers) -> None:
    mine, theirs = browsers(), browsers()
    back = await callback_of(mine)
    # Whoever is sent the link of somebody else is not signed in as them.
    assert code_of(await theirs.get(back)) == (400, "invalid_sign_in")
    other = await callback_of(theirs)
    assert code_of(await theirs.get(back)) == (400, "invalid_sign_in")
    for state in ("", "wrong", "\u00e9"):
        answer = await theirs.get(other.partition("?")[0], params={"state": state, "code": "c"})
        assert code_of(answer) == (400, "invalid_sign_in")
    # A code of another attempt does not fit this attempt's verifier.
    query = {name: values[0] for name, values in parse_qs(urlsplit(other).query).items()}
    stolen = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    answer = await theirs.get(other.partition("?")[0], params=query | {"code": stolen["code"]})
    assert code_of(answer) == (403, "sign_in_refused")


async def test_an_attempt_expires_and_cannot_be_forged(browser: Browser) -> None:
    back = await callback_of(browser)
    value = browser.cookies[COOKIE]
    claims = jwt.decode(value, _key(SECRET), algorithms=["HS256"]).claims
    late = jwt.encode({"alg": "HS256"}, claims | {"exp": int(time.time()) - 1}, _key(SECRET))
    forged = jwt.encode({"alg": "HS256"}, claims, _key(b"another secret"))
    for wrong in (late, forged, "", "a.b.c"):
        browser.cookies.clear()
        browser.cookies.set(COOKIE, wrong, domain="test.local", path="/")
        assert code_of(await browser.get(back)) == (400, "invalid_sign_in")
    browser.cookies.clear()
    browser.cookies.set(COOKIE, value, domain="test.local", path="/")
    assert (await browser.get(back)).status_code == 303


async def test_a_code_is_good_once(browser: Browser) -> None:
    back = await callback_of(browser)
    kept = browser.cookies[COOKIE]
    assert (await browser.get(back)).status_code == 303
    assert code_of(await browser.get(back)) == (400, "invalid_sign_in")
    browser.cookies.set(COOKIE, kept, domain="test.local", path="/")
    assert code_of(await browser.get(back)) == (403, "sign_in_refused")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("access_denied", "did not agree"),
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("<script>", "unknown"),
    ],
)
async def test_what_the_provider_refuses_is_told(
    browser: Browser, provider: Provider, error: str, expected: str
) -> None:
    provider.deny = error
    answer = await sign_in(browser)
    assert code_of(answer) == (403, "sign_in_refused")
    assert expected in answer.json()["detail"]
    assert "<" not in answer.json()["detail"]


async def test_an_answer_of_another_provider_is_refused(browser: Browser) -> None:
    back = await callback_of(browser)
    query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    address = back.partition("?")[0]
    answer = await browser.get(address, params=query | {"iss": "https://evil.example"})
    assert code_of(answer) == (400, "invalid_sign_in")
    del query["code"]
    assert code_of(await browser.get(address, params=query)) == (400, "invalid_sign_in")


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "x", "/\t/e"],
)
async def test_nobody_is_led_elsewhere(browser: Browser, elsewhere: str) -> None:
    answer = await sign_in(browser, elsewhere)
    assert answer.headers["location"] == "http://test/"


async def test_over_https_the_cookies_are_bound_to_the_host(
    database: Database, provider: Provider
) -> None:
    settings = settings_of(provider, public_url="https://muniment.example")
    async with browsers_of(database, settings) as browsers:
        begun = await browsers().get("/v1/sign-in/oidc")
    assert begun.headers["set-cookie"].startswith("__Host-muniment_oidc=")
    assert "Secure" in begun.headers["set-cookie"]
    query = parse_qs(urlsplit(begun.headers["location"]).query)
    assert query["redirect_uri"] == ["https://muniment.example/v1/sign-in/oidc/callback"]
    # The browser carries nothing that the code could be exchanged with.
    assert "code_verifier" not in begun.headers["set-cookie"]


async def test_while_the_provider_is_down_the_rest_works(database: Database) -> None:
    async with running_provider() as gone:
        settings = settings_of(gone)
    async with browsers_of(database, settings) as browsers:
        browser = browsers()
        answer = await browser.get("/v1/sign-in/oidc")
        assert code_of(answer) == (503, "identity_provider_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        await sign_up(browser)
        assert (await browser.get("/v1/session")).status_code == 200


async def test_ways_to_sign_in_are_told(
    browser: Browser, database: Database, provider: Provider
) -> None:
    told = (await browser.get("/v1/sign-in/methods")).json()
    assert told == {
        "sign_up": True,
        "single_sign_on": {"name": "Example ID", "url": "/v1/sign-in/oidc"},
    }
    settings = settings_of(provider, oidc_issuer=None, sign_up=False)
    async with browsers_of(database, settings) as browsers:
        without = browsers()
        told = (await without.get("/v1/sign-in/methods")).json()
        assert told == {"sign_up": False, "single_sign_on": None}
        for path in ("", "/callback?code=c&state=s"):
            answer = await without.get(f"/v1/sign-in/oidc{path}")
            assert code_of(answer) == (404, "no_single_sign_on")


async def test_a_provider_is_known_completely_and_reached_safely(provider: Provider) -> None:
    for change in (
        {"oidc_client_id": None},
        {"oidc_issuer": "http://id.example.com"},
        {"oidc_issuer": "id.example.com"},
    ):
        with pytest.raises(InvalidSetting):
            async with open_provider(settings_of(provider, **change)):
                pass
