from __future__ import annotations

import pytest

from muniment.tenancy.people.csrf import csrf_token, require_csrf, require_same_site
from muniment.tenancy.people.errors import CrossSiteRequest, WrongCsrfToken

SECRET, SESSION = b"installation", b"\x01" * 32
HOST = {"host": "muniment.example.com"}
TOKEN = csrf_token(SECRET, SESSION)


def check(headers: dict[str, str], public_url: str | None = None) -> None:
    require_same_site(HOST | headers, public_url=public_url)


def test_a_token_belongs_to_one_session_of_one_installation() -> None:
    assert len(TOKEN) == 64
    assert csrf_token(SECRET, SESSION) == TOKEN
    assert csrf_token(SECRET, b"\x02" * 32) != TOKEN
    assert csrf_token(b"another", SESSION) != TOKEN


def test_the_right_token_passes() -> None:
    require_csrf(SECRET, SESSION, HOST | {"x-csrf-token": TOKEN}, public_url=None)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-csrf-token": ""},
        {"x-csrf-token": TOKEN[:-1]},
        {"x-csrf-token": TOKEN.upper()},
        {"x-csrf-token": csrf_token(SECRET, b"\x02" * 32)},
        {"x-csrf-token": "é"},
        {"x-csrf-token": "\udcff"},
    ],
)
def test_any_other_does_not(headers: dict[str, str]) -> None:
    with pytest.raises(WrongCsrfToken):
        require_csrf(SECRET, SESSION, HOST | headers, public_url=None)


def test_the_right_token_from_another_site_does_not_pass() -> None:
    headers = HOST | {"x-csrf-token": TOKEN, "sec-fetch-site": "cross-site"}
    with pytest.raises(CrossSiteRequest):
        require_csrf(SECRET, SESSION, headers, public_url=None)


@pytest.mark.parametrize(
    "headers",
    [
        {},  # no browser
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "https://muniment.example.com"},
        {"origin": "http://muniment.example.com"},  # a proxy ends TLS in front of us
        {"origin": "https://Muniment.Example.com"},
        {"sec-fetch-site": "same-origin", "origin": "https://muniment.example.com"},
    ],
)
def test_requests_of_our_own_pages_pass(headers: dict[str, str]) -> None:
    check(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "something-new"},
        {"sec-fetch-site": ""},
        {"origin": "https://evil.example"},
        {"origin": "https://evil.muniment.example.com"},
        {"origin": "https://muniment.example.com.evil.example"},
        {"origin": "https://muniment.example.com:8443"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://[::1"},
        {"sec-fetch-site": "cross-site", "origin": "https://muniment.example.com"},
    ],
)
def test_requests_of_other_sites_do_not(headers: dict[str, str]) -> None:
    with pytest.raises(CrossSiteRequest):
        check(headers)


def test_the_public_address_counts_where_a_proxy_changes_the_host() -> None:
    headers = {"origin": "https://docs.example.org"}
    check(headers, "https://docs.example.org/")
    check(headers | {"sec-fetch-site": "same-site"}, "https://docs.example.org")
    for other in ("http://docs.example.org", "https://docs.example.org:8443", "docs.example.org"):
        with pytest.raises(CrossSiteRequest):
            check(headers, other)
    with pytest.raises(CrossSiteRequest):
        check({"origin": "null"}, "no address at all")
