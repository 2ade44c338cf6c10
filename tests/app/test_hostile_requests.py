"""Nothing that somebody who is let in can send makes an operation of ours fail with a 5xx.

Values that have brought down others, put where a description says that something goes. Requests
that are made from the description itself, for all kinds of callers, are in test_fuzz.py.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from muniment.app import Services, create_app
from muniment.components import search_index
from muniment.db import Database
from muniment.documents.blobs import BlobStore
from muniment.documents.embedding import Embedder
from muniment.settings import Settings
from tests.app.callers import SECRET, Caller, World
from tests.app.conftest import client_of
from tests.app.test_problems import problem_of
from tests.app.valid_requests import VALID

TEXTS = [
    "",
    "0",
    "-1",
    "1e400",
    "99999999999999999999999",
    "null",
    "\x00",
    "\ufffe",
    "🗄",
    "' OR 1=1 --",
    "%",
    "a" * 5000,
    "0000-00-00T00:00:00Z",
    "9999-12-31T23:59:59+23:59",
    "00000000-0000-0000-0000-000000000000",
]
VALUES: list[Any] = [
    *TEXTS,
    None,
    True,
    -1,
    0,
    10**30,
    1e300,
    [],
    [None],
    ["\x00"],
    ["a"] * 2000,
    {},
    {"\x00": "\x00"},
    {"a": {"b": [1e300]}},
]


CALLER = Caller("owner session", "session")
OPERATOR = Caller("operator key", "operator key")
"""Between them they are let in everywhere."""


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    with Embedder.load() as embedder:
        yield embedder


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    return await World.made(database, BlobStore.in_folder(tmp_path / "blobs"))


@pytest.fixture
async def whole(
    database: Database, world: World, embedder: Embedder, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application with all that its handlers work with."""
    settings = Settings(
        data_dir=tmp_path,
        rate_limits=False,
        sign_in_attempts_per_address=1_000_000,
        sign_in_attempts_per_account=1_000_000,
    )
    services = Services(database, SECRET, settings, embedder, search_index(), world.blobs)
    async with client_of(create_app(settings, services)) as client:
        yield client


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for template, item in document["paths"].items():
        for method, operation in item.items():
            yield method, template, operation


def requests(
    document: dict[str, Any], operation: dict[str, Any]
) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Give hostile requests for an operation: parts of its path, and arguments of the client."""
    names: dict[str, list[str]] = {"query": [], "path": []}
    for parameter in operation.get("parameters", []):
        names.setdefault(parameter["in"], []).append(parameter["name"])
    yield {}, {}
    for name in names["path"]:
        for text in TEXTS:
            yield {name: quote(text, safe="")}, {}
    for name in names["query"]:
        for text in TEXTS:
            yield {}, {"params": {name: text}}
        yield {}, {"params": {name: ["1", "1"]}}
    if "requestBody" in operation:
        [content] = operation["requestBody"]["content"].values()
        for body in bodies(document, content["schema"]):
            yield {}, {"json": body}


def bodies(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[Any]:
    """Give hostile bodies for a schema, each wrong in one member."""
    yield from VALUES
    resolved = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    valid = {
        name: "archive"
        for name in resolved.get("required", [])
        if resolved["properties"][name].get("type") == "string"
    }
    yield valid
    for name, member in resolved["properties"].items():
        for value in VALUES:
            yield valid | {name: value}
        for choice in [member, *member.get("oneOf", [])]:
            reference = choice.get("$ref")
            if reference is None:
                continue
            inner = document["components"]["schemas"][reference.rpartition("/")[2]]
            for inner_name in inner.get("properties", {}):
                for value in VALUES:
                    yield valid | {name: {inner_name: value}}


async def test_nothing_that_is_sent_makes_an_operation_fail(
    whole: httpx.AsyncClient, world: World
) -> None:
    document = (await whole.get("/schema/openapi.json")).json()
    typed = {re.sub(r":\w+}", "}", route): route for route in VALID}
    failed, answered = [], 0
    for method, template, operation in operations(document):
        caller = OPERATOR if template.startswith("/v1/admin/") else CALLER
        async with world.writing():
            who = await world.come(caller)
            route = typed[f"{method.upper()} {template}"]
            call = await VALID[route].make(world, world.homes["ours"], who)
        ids = {name: str(value) for name, value in call.ids.items()}
        for parts, arguments in requests(document, operation):
            path = template.format(**(ids | parts))
            whole.cookies.clear()
            try:
                response = await whole.request(method, path, headers=who.headers, **arguments)
            except ValueError:
                continue  # no JSON can say it
            answered += 1
            if response.status_code >= 500:
                failed.append((method, path, str(arguments)[:200]))
            elif response.status_code >= 400:
                problem_of(response)
    assert failed == []
    assert answered > 1000
