"""The pages for people: complete without anything from outside, and usable with a keyboard."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import httpx
import pytest

from muniment.app import create_app
from muniment.console.endpoints import PAGES
from muniment.settings import Settings


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(smtp_url="smtp://127.0.0.1:1", oidc_issuer="https://id.example.org")
    transport = httpx.ASGITransport(create_app(settings))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize("path", PAGES)
async def test_page_is_whole_and_runs_nothing_of_others(
    browser: httpx.AsyncClient, path: str
) -> None:
    response = await browser.get(path)
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    page = Page(response.text)
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
        source = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        if source is not None:
            assert (await browser.get(source)).status_code == 200, source
        assert tag != "script" or attributes.get("src"), "a script inside the page"
    assert not re.search(r"https?://", response.text)


@pytest.mark.parametrize("path", PAGES)
async def test_page_can_be_used_without_seeing_it(browser: httpx.AsyncClient, path: str) -> None:
    page = Page((await browser.get(path)).text)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    labelled = {attributes.get("for") for attributes in page.all("label")}
    for field in page.all("input", "select"):
        assert "hidden" in field or field["id"] in labelled
        assert "autocomplete" in field or "name" in field
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


async def test_forms_send_to_routes_that_exist(browser: httpx.AsyncClient) -> None:
    description = (await browser.get("/schema/openapi.json")).json()["paths"]
    forms = [
        attributes["data-send"]
        for path in PAGES
        for attributes in Page((await browser.get(path)).text).all("form")
    ]
    assert len(forms) >= len(PAGES)
    for form in forms:
        assert form is not None
        method, path = form.split(" ")
        assert method.lower() in description[path], form


async def test_pages_say_what_this_installation_offers() -> None:
    settings = Settings(sign_up=False)
    transport = httpx.ASGITransport(create_app(settings))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert "Sign up" not in (await client.get("/sign-in")).text
        assert "<form" not in (await client.get("/sign-up")).text
        assert "admin reset-password" in (await client.get("/forgot-password")).text
