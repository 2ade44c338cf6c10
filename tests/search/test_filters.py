from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from muniment.db import Database, TenantScope, UnitOfWork
from tests.search.library import (
    INDEX,
    MODEL,
    Added,
    add_document,
    by_meaning,
    by_words,
    new_library,
)
from tests.search.library import unit as unit_vector


async def add(work: UnitOfWork, library: Any, text: str, **about: Any) -> Added:
    added = await add_document(work, library, [text], **about)
    await INDEX.upsert_embeddings(work, MODEL, added.chunk_ids, unit_vector(1)[None])
    return added


@pytest.fixture
async def shelf(database: Database, scope: TenantScope) -> dict[str, Any]:
    """Two documents of which every filter of the tests lets through the first only."""
    async with database.unit_of_work(scope) as work:
        law, art = await new_library(work, "Law"), await new_library(work, "Art")
        wanted = await add(
            work,
            law,
            "common word",
            media_type="application/pdf",
            metadata={"team": "law", "year": 2024},
            updated_at=datetime(2024, 5, 1, tzinfo=UTC),
        )
        await add(
            work,
            art,
            "common word",
            metadata={"team": "art"},
            updated_at=datetime(2020, 5, 1, tzinfo=UTC),
        )
    return {"wanted": wanted, "law": law, "art": art}


@pytest.mark.parametrize(
    "filters",
    [
        {"workspace_id": "law.workspace_id"},
        {"source_ids": ("law.source_id",)},
        {"document_ids": ("wanted.document_id",)},
        {"types": ("application/pdf",)},
        {"types": ("image/png", "application/*")},
        {"updated_after": datetime(2024, 5, 1, tzinfo=UTC)},
        {"updated_after": datetime(2022, 1, 1, tzinfo=UTC), "types": ("application/*",)},
        {"metadata": {"team": "law"}},
        {
            "updated_before": datetime(2024, 5, 1, tzinfo=UTC),
            "metadata": {"year": 2024},
        },
    ],
)
async def test_each_filter_holds_for_both_legs(
    database: Database, scope: TenantScope, shelf: dict[str, Any], filters: dict[str, Any]
) -> None:
    def resolved(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(resolved(one) for one in value)
        if isinstance(value, str) and "." in value and "/" not in value:
            name, attribute = value.split(".")
            return getattr(shelf[name], attribute)
        return value

    given = {name: resolved(value) for name, value in filters.items()}
    async with database.unit_of_work(scope) as work:
        assert list(await by_words(work, "common", **given)) == shelf["wanted"].chunk_ids
        assert list(await by_meaning(work, unit_vector(1), **given)) == shelf["wanted"].chunk_ids


async def test_an_impossible_filter_finds_nothing(
    database: Database, scope: TenantScope, shelf: dict[str, Any]
) -> None:
    async with database.unit_of_work(scope) as work:
        assert not await by_words(work, "common", types=("image/png",))
        assert not await by_words(work, "common", source_ids=())
        assert not await by_meaning(work, unit_vector(1), metadata={"team": "none"})


async def test_a_filter_finds_what_common_words_alone_would_not_propose(
    database: Database, scope: TenantScope
) -> None:
    """The budget is 3,000 passages; the one that passes weighs less than any of them."""
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        for _ in range(8):
            await add_document(work, library, ["common common common common"] * 500)
        rare = await add_document(
            work,
            library,
            ["common " + " ".join(f"filler{number}" for number in range(60))],
            metadata={"kind": "rare"},
        )
        few = await by_words(work, "common", metadata={"kind": "rare"})
        assert list(few) == rare.chunk_ids
        # The same through the inverted index, with a filter that nearly all documents pass.
        await work.connection.execute("UPDATE documents SET media_type = 'text/plain'")
        assert len(await by_words(work, "common", types=("text/*",))) == 100


async def test_a_small_organization_in_a_large_graph_finds_all_its_vectors(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    random = np.random.default_rng(1)

    def vectors(count: int) -> Any:
        found = random.standard_normal((count, MODEL.dimensions)).astype(np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    async with database.unit_of_work(other_scope) as work:
        library = await new_library(work)
        for _ in range(6):
            added = await add_document(work, library, [""] * 500)
            await INDEX.upsert_embeddings(work, MODEL, added.chunk_ids, vectors(500))
    async with database.unit_of_work(scope) as work:
        ours = await add_document(work, await new_library(work), ["x"] * 40)
        await INDEX.upsert_embeddings(work, MODEL, ours.chunk_ids, vectors(40))
        found = await by_meaning(work, unit_vector(1, 1, 1))
        assert set(found) == set(ours.chunk_ids)
