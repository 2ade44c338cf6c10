"""Plan guards, as the application's role with the policies on: what each search reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pytest

from muniment.db import Database, TenantScope, UnitOfWork
from tests.conftest import Clone
from tests.search.library import INDEX, MODEL, add_document, by_meaning, by_words, new_library, unit

PASSAGES = 4000


@pytest.fixture
async def filled(
    clone: Clone, database: Database, scope: TenantScope, other_scope: TenantScope
) -> TenantScope:
    """An organization of 4,000 passages beside another one with the same words."""
    random = np.random.default_rng(0)
    for one in (other_scope, scope):
        async with database.unit_of_work(one) as work:
            library = await new_library(work)
            for start in range(0, PASSAGES if one is scope else 1000, 500):
                texts = [f"common word{number % 500} " for number in range(start, start + 500)]
                added = await add_document(work, library, texts)
                vectors = random.standard_normal((500, MODEL.dimensions)).astype(np.float32)
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                await INDEX.upsert_embeddings(work, MODEL, added.chunk_ids, vectors)
    with psycopg.connect(clone.installation.owner_dsn, autocommit=True) as owner:
        owner.execute("ANALYZE")  # which comes by itself sooner or later, and plans depend on it
    return scope


async def reads(work: UnitOfWork, table: str) -> Any:
    """Scans and rows read by index of a table, in this transaction so far."""
    return await work.connection.fetchrow(
        "SELECT seq_scan, idx_scan, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = $1",
        table,
    )


async def test_words_are_found_by_the_inverted_index(
    database: Database, filled: TenantScope
) -> None:
    async with database.unit_of_work(filled) as work:
        assert await work.connection.fetchval("SELECT current_user") == "muniment_app"
        assert len(await by_words(work, "word7")) == PASSAGES / 500
        read = await reads(work, "lexical_entries")
    # Rows of other words or organizations are not touched. A bitmap scan counts its rows as
    # fetched by index; the pending list is read within the index.
    assert read["seq_scan"] == 0
    assert read["idx_scan"] == 1
    assert read["idx_tup_fetch"] == PASSAGES / 500


async def test_a_common_word_costs_the_budget_at_most(
    database: Database, filled: TenantScope
) -> None:
    async with database.unit_of_work(filled) as work:
        assert len(await by_words(work, "common word7")) == 100
        read = await reads(work, "lexical_entries")
    assert read["seq_scan"] == 0


async def test_vectors_are_found_by_the_graph(database: Database, filled: TenantScope) -> None:
    async with database.unit_of_work(filled) as work:
        assert len(await by_meaning(work, unit(1, 1))) == 100
        read = await reads(work, "embeddings")
    assert read["seq_scan"] == 0
    assert read["idx_tup_fetch"] < PASSAGES / 4


async def test_the_graph_finds_what_a_scan_finds(database: Database, filled: TenantScope) -> None:
    """Recall at 10 against exact search, over 50 queries."""
    random = np.random.default_rng(7)
    found = 0
    async with database.unit_of_work(filled) as work:
        for _ in range(50):
            query = unit(*random.standard_normal(MODEL.dimensions))
            near = list(await by_meaning(work, query))[:10]
            rows = await work.connection.fetch(
                "SELECT chunk_id FROM embeddings ORDER BY embedding <=> $1::halfvec LIMIT 10",
                query,
            )
            found += len(set(near) & {row["chunk_id"] for row in rows})
    assert found / 500 >= 0.95
