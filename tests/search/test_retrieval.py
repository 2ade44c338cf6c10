"""Searches from query to response, with the real model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from muniment.app import Services, create_app
from muniment.db import Database, Role, TenantScope, WorkspaceId, new_id
from muniment.documents.embedding import Embedder
from muniment.documents.search_index import EmbeddingModel
from muniment.observability.metrics import Metrics
from muniment.search.errors import QueryNotAcceptable
from muniment.search.fusion import Weights
from muniment.search.observers import observe_searches
from muniment.search.retrieval import search
from muniment.search.schemas import Filters, SearchMode, SearchRequest, SearchResponse
from muniment.settings import Settings
from muniment.tenancy.errors import WorkspaceNotFound
from muniment.tenancy.keys.create import create_api_key
from tests.app.conftest import client_of
from tests.search.library import INDEX, Added, Library, add_document, new_library

TEXTS = [
    "A cat sleeps on the warm windowsill all afternoon.",
    "The annual report lists revenue, costs and profit of the company.",
    "Boeing tested the wing of the aircraft in a wind tunnel.",
    "Error code E-4711 means that the pump has lost pressure.",
]


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    with Embedder.load(threads=1) as embedder:
        yield embedder


class Shelf:
    """Four passages, embedded with the real model."""

    def __init__(self, library: Library, added: Added) -> None:
        self.library = library
        self.added = added


@pytest.fixture
async def shelf(database: Database, scope: TenantScope, embedder: Embedder) -> Shelf:
    vectors = await embedder.embed_passages(TEXTS)
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        added = await add_document(work, library, TEXTS, title="Mixed", heading_path=["Notes"])
        model = EmbeddingModel(embedder.model_id, embedder.dimensions)
        await INDEX.upsert_embeddings(work, model, added.chunk_ids, vectors)
    return Shelf(library, added)


async def ask(
    database: Database, scope: TenantScope, embedder: Embedder, query: str, **request: Any
) -> SearchResponse:
    return await search(database, scope, INDEX, embedder, SearchRequest(query=query, **request))


@pytest.mark.parametrize(
    ("query", "mode", "best"),
    [
        ("feline nap", SearchMode.SEMANTIC, 0),
        ("how much money did the firm earn", SearchMode.HYBRID, 1),
        ("E-4711", SearchMode.HYBRID, 3),
        ("wings", SearchMode.LEXICAL, 2),
    ],
)
async def test_each_mode_finds_what_it_is_for(
    database: Database,
    scope: TenantScope,
    embedder: Embedder,
    shelf: Shelf,
    query: str,
    mode: SearchMode,
    best: int,
) -> None:
    response = await ask(database, scope, embedder, query, mode=mode)
    assert response.results[0].text == TEXTS[best]
    assert response.results[0].title == "Mixed"
    assert response.results[0].heading_path == ["Notes"]


async def test_a_query_of_stop_words_is_answered_by_meaning(
    database: Database, scope: TenantScope, embedder: Embedder, shelf: Shelf
) -> None:
    assert len((await ask(database, scope, embedder, "to be or not to be")).results) == 4
    found = await ask(database, scope, embedder, "to be or not", mode=SearchMode.LEXICAL)
    assert found.results == []


async def test_explain_tells_what_each_leg_made_of_a_passage(
    database: Database, scope: TenantScope, embedder: Embedder, shelf: Shelf
) -> None:
    response = await ask(database, scope, embedder, "pump pressure", explain=True, limit=1)
    legs = response.results[0].legs
    assert legs
    assert legs.lexical.rank == legs.semantic.rank == 1
    assert legs.lexical.score is not None
    assert legs.lexical.score > 0


async def test_a_deleted_passage_is_never_shown(
    database: Database, scope: TenantScope, embedder: Embedder, shelf: Shelf
) -> None:
    """Not even while the index still holds it."""
    async with database.unit_of_work(scope) as work:
        await work.connection.execute(
            "DELETE FROM chunks WHERE chunk_id = $1", shelf.added.chunk_ids[0]
        )
    response = await ask(database, scope, embedder, "cat windowsill")
    assert len(response.results) == 3
    assert shelf.added.chunk_ids[0] not in {one.chunk_id for one in response.results}


async def test_another_organization_sees_nothing(
    database: Database, other_scope: TenantScope, embedder: Embedder, shelf: Shelf
) -> None:
    assert (await ask(database, other_scope, embedder, "cat windowsill")).results == []


async def test_a_caller_of_one_workspace_stays_in_it(
    database: Database, scope: TenantScope, embedder: Embedder, shelf: Shelf
) -> None:
    async with database.unit_of_work(scope) as work:
        elsewhere = WorkspaceId((await new_library(work, "Elsewhere")).workspace_id)
    here = WorkspaceId(shelf.library.workspace_id)
    assert len((await ask(database, scope, embedder, "cat", workspace_id=here)).results) == 4
    assert (await ask(database, scope, embedder, "cat", workspace_id=elsewhere)).results == []
    limited = replace(scope, workspace_id=elsewhere)
    assert (await ask(database, limited, embedder, "cat")).results == []
    with pytest.raises(WorkspaceNotFound):
        await ask(database, limited, embedder, "cat", workspace_id=here)
    with pytest.raises(WorkspaceNotFound):
        await ask(database, scope, embedder, "cat", workspace_id=new_id())


async def test_passages_are_found_before_they_are_embedded(
    database: Database, scope: TenantScope, embedder: Embedder
) -> None:
    async with database.unit_of_work(scope) as work:
        await add_document(work, await new_library(work), TEXTS)
    response = await ask(database, scope, embedder, "wind tunnel")
    assert [one.text for one in response.results] == [TEXTS[2]]


@pytest.mark.parametrize("query", ["", " \n", "x" * 4097])
async def test_unacceptable_queries(
    database: Database, scope: TenantScope, embedder: Embedder, query: str
) -> None:
    with pytest.raises(QueryNotAcceptable):
        await ask(database, scope, embedder, query)


@pytest.mark.parametrize(
    "query",
    ["\0", "a\0b", "\ud800", "' OR 1=1 --", "{}:*&|!()<->", "%_\\", "\u202e\u0301", "a " * 2048,
     "".join(chr(200 + number) for number in range(4000)), "🙂", "中文", "x" * 4096],
)  # fmt: skip
async def test_odd_queries_are_answered(
    database: Database, scope: TenantScope, embedder: Embedder, shelf: Shelf, query: str
) -> None:
    assert (await ask(database, scope, embedder, query)).cache == "miss"


async def test_a_search_is_four_statements(
    database: Database, scope: TenantScope, embedder: Embedder, shelf: Shelf
) -> None:
    from muniment.db import observe_statements

    names: list[str] = []
    with observe_statements(lambda name, _seconds, _error: names.append(name)):
        await ask(database, scope, embedder, "cat")
    assert names == [
        "db.begin",
        "search.postgres.candidates",
        "search.fetch_passages",
        "db.commit",
    ]


@pytest.fixture
async def client(
    database: Database, scope: TenantScope, embedder: Embedder, shelf: Shelf, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    async with database.unit_of_work(scope) as work:
        key = (await create_api_key(work, "test", Role.VIEWER)).key
    settings = Settings(data_dir=tmp_path)
    services = Services(database, b"secret", settings, embedder, INDEX, None)  # type: ignore[arg-type]
    async with client_of(create_app(settings, services)) as client:
        client.headers["authorization"] = f"Bearer {key}"
        yield client


async def test_the_shape_of_an_answer(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/search", json={"query": "cats", "limit": 1})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"results", "timings_ms", "cache"}
    assert set(body["timings_ms"]) == {"cache", "embed", "search", "total"}
    (result,) = body["results"]
    assert set(result) == {
        "chunk_id",
        "document_id",
        "title",
        "url",
        "text",
        "highlights",
        "page",
        "heading_path",
        "score",
    }
    assert result["highlights"] == [[2, 5]]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": ""}, "query_not_acceptable"),
        ({"query": "a", "weights": {"lexical": 0, "semantic": 0}}, "query_not_acceptable"),
        ({"query": "a", "filters": {"metadata": {"a": "b\0"}}}, "filter_not_acceptable"),
        ({"query": "a", "filters": {"types": ["a\0"]}}, "filter_not_acceptable"),
        (
            {"query": "a", "filters": {"updated_after": "0001-01-01T00:00:00+14:00"}},
            "filter_not_acceptable",
        ),
        (
            {"query": "a", "workspace_id": "01890000-0000-7000-8000-000000000000"},
            "workspace_not_found",
        ),
        ({}, None),
        ({"query": 7}, None),
        ({"query": "a", "limit": 0}, None),
        ({"query": "a", "limit": 101}, None),
        ({"query": "a", "mode": "magic"}, None),
        ({"query": "a", "unknown": 1}, None),
        ({"query": "a", "filters": {"updated_after": "2024-01-01T00:00:00"}}, None),
        ({"query": "a", "weights": {"lexical": -1}}, None),
    ],
)
async def test_faults_are_problems_with_a_code(
    client: httpx.AsyncClient, body: dict[str, Any], code: str | None
) -> None:
    answer = await client.post("/v1/search", json=body)
    assert answer.status_code in {400, 404, 422}
    assert answer.headers["content-type"].startswith("application/problem+json")
    if code is not None:
        assert answer.json()["code"] == code


@pytest.mark.parametrize(
    "filters",
    [
        {"metadata": {"deep": [[[[[{"a": 1e300}]]]]], "\\u0000": None}},
        {"types": ["text/*", "'", "%"]},
        {"updated_before": "9999-12-31T23:59:59Z"},
        {"source_ids": []},
    ],
)
async def test_odd_filters_are_answered(client: httpx.AsyncClient, filters: Any) -> None:
    answer = await client.post("/v1/search", json={"query": "cat", "filters": filters})
    assert answer.status_code == 200


async def test_searches_at_the_same_time(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(client.post("/v1/search", json={"query": f"cat {number}"}) for number in range(20))
    )
    assert {answer.status_code for answer in answers} == {200}


async def test_filters_and_weights_reach_the_index(
    database: Database, scope: TenantScope, embedder: Embedder, shelf: Shelf
) -> None:
    future = datetime.now(timezone(timedelta(hours=2))) + timedelta(days=1)
    found = await ask(database, scope, embedder, "cat", filters=Filters(updated_after=future))
    assert found.results == []
    found = await ask(
        database,
        scope,
        embedder,
        "pump",
        weights=Weights(lexical=1, semantic=0),
        filters=Filters(updated_before=future.astimezone(UTC)),
    )
    assert found.results[0].text == TEXTS[3]


async def test_stages_and_outcomes_are_measured(
    database: Database, scope: TenantScope, shelf: Shelf, embedder: Embedder
) -> None:
    metrics = Metrics("api")
    with observe_searches(metrics.search):
        await search(database, scope, INDEX, embedder, SearchRequest("cat"))
        lexical = SearchRequest("xyzzy", mode=SearchMode.LEXICAL)
        await search(database, scope, INDEX, embedder, lexical)
        with pytest.raises(QueryNotAcceptable):
            await search(database, scope, INDEX, embedder, SearchRequest(" "))
    text = metrics.render("")[0].decode()
    for mode, outcome in (("hybrid", "found"), ("lexical", "nothing"), ("hybrid", "refused")):
        assert f'muniment_searches_total{{mode="{mode}",outcome="{outcome}"}} 1.0' in text
    counted = "muniment_search_stage_duration_seconds_count"
    for stage in ("embed", "candidates", "fetch", "total"):
        assert f'{counted}{{mode="hybrid",stage="{stage}"}} 1.0' in text
    assert f'{counted}{{mode="lexical",stage="embed"}}' not in text
