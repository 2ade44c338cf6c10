"""Nothing that a caller with a key can send makes an operation of ours fail with a 5xx."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from muniment.app import Services, create_app
from muniment.components import search_index
from muniment.db import Database
from muniment.documents.blobs import BlobStore
from muniment.documents.embedding import Embedder
from muniment.settings import Settings
from tests.app.conftest import client_of
from tests.app.test_problems import problem_of

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
UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    with Embedder.load() as embedder:
        yield embedder


@pytest.fixture
async def whole(
    database: Database, api_key: str, embedder: Embedder, tmp_path: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application with all that its handlers work with."""
    settings = Settings(data_dir=tmp_path)
    blobs = BlobStore.in_folder(tmp_path / "blobs")
    services = Services(database, b"test secret", settings, embedder, search_index(), blobs)
    async with client_of(create_app(settings, services)) as client:
        client.headers["authorization"] = f"Bearer {api_key}"
        yield client


def requests(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give hostile requests for each operation: method, path, and arguments of the client."""
    for template, item in document["paths"].items():
        for method, operation in item.items():
            parameters = operation.get("parameters", [])
            names = {where: [] for where in ("query", "path")}  # type: dict[str, list[str]]
            for parameter in parameters:
                names.setdefault(parameter["in"], []).append(parameter["name"])
            path = template.format(**dict.fromkeys(names["path"], UNKNOWN))
            yield method, path, {}
            for name in names["query"]:
                for text in TEXTS:
                    yield method, path, {"params": {name: text}}
                yield method, path, {"params": {name: ["1", "1"]}}
            if "requestBody" in operation:
                [content] = operation["requestBody"]["content"].values()
                for body in bodies(document, content["schema"]):
                    yield method, path, {"json": body}


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


async def test_nothing_that_is_sent_makes_an_operation_fail(whole: httpx.AsyncClient) -> None:
    document = (await whole.get("/schema/openapi.json")).json()
    failed, answered = [], 0
    for method, path, arguments in requests(document):
        try:
            response = await whole.request(method, path, **arguments)
        except ValueError:
            continue  # no JSON can say it
        answered += 1
        if response.status_code >= 500:
            failed.append((method, path, str(arguments)[:200]))
        elif response.status_code >= 400:
            problem_of(response)
    assert failed == []
    assert answered > 100


async def test_every_operation_answers_well_formed_requests(whole: httpx.AsyncClient) -> None:
    for path in ("/v1/documents", "/v1/jobs"):
        response = await whole.get(path)
        assert response.status_code == 200, response.text
        assert response.json() == {"items": [], "next_cursor": None}
    for path in ("/v1/documents/{}", "/v1/documents/{}/chunks", "/v1/jobs/{}"):
        response = await whole.get(path.format(UNKNOWN))
        assert response.status_code == 404, response.text
    for mode in ("hybrid", "lexical", "semantic"):
        response = await whole.post("/v1/search", json={"query": "archive", "mode": mode})
        assert response.status_code == 200, response.text
        assert response.json()["results"] == []
