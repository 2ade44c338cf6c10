"""The interface describes itself, to programs and to people, with nothing from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx

from muniment.api_docs.page import mark_up
from muniment.app import create_app
from muniment.problems import known_problems
from muniment.settings import Settings


class Page(HTMLParser):
    """Collects what a page refers to and the ids that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name in {"href", "src", "srcset", "action", "data"} and value:
                self.links.append(value)
            if name == "id" and value:
                self.ids.append(value)


async def test_page_needs_nothing_from_outside(client: httpx.AsyncClient) -> None:
    response = await client.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    page = Page(response.text)
    assert not [link for link in page.links if re.match(r"(?i)([a-z]+:)?//", link)]
    for link in {link for link in page.links if link.startswith("/")}:
        assert (await client.get(link)).status_code == 200, link
    style = await client.get("/docs/page.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "url(" not in style.text
    assert "@import" not in style.text


async def test_page_is_well_linked_and_structured(client: httpx.AsyncClient) -> None:
    page = Page((await client.get("/docs")).text)
    assert len(page.ids) == len(set(page.ids))
    assert [link for link in page.links if link.startswith("#") and link[1:] not in page.ids] == []
    assert {f"problem-{problem.code}" for problem in known_problems()} <= set(page.ids)
    assert page.tags.count("h1") == 1
    assert page.tags.count("table") == page.tags.count("caption") > 5
    assert {"nav", "main", "header"} <= set(page.tags)


async def test_page_lists_every_operation(client: httpx.AsyncClient) -> None:
    document = (await client.get("/schema/openapi.json")).json()
    page = (await client.get("/docs")).text
    for path, item in document["paths"].items():
        assert path in page
        for operation in item.values():
            assert f'id="{operation["operationId"]}"' in page


async def test_document_is_openapi_3_1_with_our_problems(client: httpx.AsyncClient) -> None:
    response = await client.get("/schema/openapi.json")
    assert response.headers["content-type"] == "application/json"
    document: dict[str, Any] = response.json()
    assert document["openapi"].startswith("3.1")
    assert "security" not in document["paths"]["/healthz"]["get"]
    things = document["paths"]["/v1/test/things"]["get"]
    assert things["security"] == [{"api_key": []}, {"session": []}]
    assert set(things["responses"]) == {"200", "default"}
    codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert "validation_failed" in codes


async def test_every_reference_in_the_document_leads_somewhere(client: httpx.AsyncClient) -> None:
    response = await client.get("/schema/openapi.json")
    document = response.json()
    for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', response.text)):
        found = document
        for part in reference.split("/"):
            found = found[part]
        assert found


async def test_root_leads_to_the_page(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert response.status_code == 302
    assert response.headers["location"] == "/docs"


def test_description_needs_no_database() -> None:
    assert "/readyz" in create_app(Settings()).openapi_schema.paths


async def test_pages_cannot_be_framed_and_nothing_allows_other_origins(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/docs", "/v1/test/things", "/nowhere"):
        response = await client.get(path, headers={"origin": "https://elsewhere.example"})
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert not [name for name in response.headers if name.startswith("access-control")]


def test_descriptions_are_escaped_before_they_are_marked_up() -> None:
    assert mark_up("a `<b>` & `c`\n\nd") == (
        "a <code>&lt;b&gt;</code> &amp; <code>c</code></p><p>d"
    )
