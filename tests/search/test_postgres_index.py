from __future__ import annotations

import math

import numpy as np
import pytest

from muniment.db import Database, TenantScope
from muniment.documents.search_index import CandidateQuery, EmbeddingModel
from muniment.search.errors import EmbeddingShapeError
from tests.search.library import (
    INDEX,
    MODEL,
    add_document,
    by_meaning,
    by_words,
    new_library,
    unit,
)


async def test_a_passage_is_found_by_its_stem_in_the_transaction_that_wrote_it(
    database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        added = await add_document(work, library, ["Wings in a slipstream", "Nothing of the kind"])
        assert list(await by_words(work, "wing")) == added.chunk_ids[:1]


async def test_scores_are_bm25(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        added = await add_document(
            work, library, ["alpha alpha beta", "alpha gamma delta", "epsilon zeta eta"], title=""
        )
        found = await by_words(work, "alpha")
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    # All passages have the mean length, so the length normalization is 1.
    assert found == pytest.approx(
        {
            added.chunk_ids[0]: idf * 2 * 2.5 / (2 + 1.5),
            added.chunk_ids[1]: idf * 1 * 2.5 / (1 + 1.5),
        },
        rel=1e-3,
    )


async def test_title_and_headings_are_searched(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        added = await add_document(
            work, library, ["text"], title="Handbook", heading_path=["Travel", "Expenses"]
        )
        assert list(await by_words(work, "handbooks")) == added.chunk_ids
        assert list(await by_words(work, "expense")) == added.chunk_ids


async def test_nearest_vectors_come_first(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        added = await add_document(work, library, ["one", "two", "three"])
        vectors = np.stack([unit(0, 1), unit(1, 1), unit(1, 0)])
        assert await INDEX.upsert_embeddings(work, MODEL, added.chunk_ids, vectors) == 3
        found = await by_meaning(work, unit(1, 0))
        assert list(found) == added.chunk_ids[::-1]
        assert list(found.values()) == pytest.approx([1, 0.7071, 0], abs=1e-3)


async def test_each_leg_completes_the_scores_of_the_other(
    database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        added = await add_document(work, library, ["needle", "hay", "straw"])
        await INDEX.upsert_embeddings(
            work, MODEL, added.chunk_ids[:2], np.stack([unit(0, 1), unit(1, 0)])
        )
        query = CandidateQuery("needle", unit(1, 0), MODEL, 1)
        found = {one.chunk_id: one for one in await INDEX.candidates(work, query)}
    assert set(found) == set(added.chunk_ids[:2])
    needle, hay = (found[chunk_id] for chunk_id in added.chunk_ids[:2])
    assert (needle.lexical_rank, needle.semantic_rank) == (1, None)
    assert needle.semantic_score == pytest.approx(0, abs=1e-3)
    assert (hay.lexical_rank, hay.semantic_rank) == (None, 1)
    assert hay.lexical_score == 0


async def test_a_replaced_passage_is_found_by_its_new_words_only(
    database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        added = await add_document(work, library, ["before"])
        await work.connection.execute("UPDATE chunks SET text = 'after'")
        assert await INDEX.rebuild(work) == added.chunk_ids[0]
        assert await INDEX.rebuild(work, after=added.chunk_ids[0]) is None
        assert not await by_words(work, "before")
        assert list(await by_words(work, "after")) == added.chunk_ids


async def test_deleted_documents_are_forgotten(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        gone = await add_document(work, library, ["shared word"])
        kept = await add_document(work, library, ["shared word"])
        for added in (gone, kept):
            await INDEX.upsert_embeddings(work, MODEL, added.chunk_ids, unit(1)[None])
        await INDEX.delete(work, [gone.document_id])
        assert list(await by_words(work, "shared")) == kept.chunk_ids
        assert list(await by_meaning(work, unit(1))) == kept.chunk_ids


async def test_another_organization_is_never_a_candidate(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    for one in (scope, other_scope):
        async with database.unit_of_work(one) as work:
            added = await add_document(work, await new_library(work), ["the secret word"])
            await INDEX.upsert_embeddings(work, MODEL, added.chunk_ids, unit(1)[None])
    async with database.unit_of_work(other_scope) as work:
        assert list(await by_words(work, "secret")) == added.chunk_ids
        assert list(await by_meaning(work, unit(1))) == added.chunk_ids
    async with database.system() as work:
        rows = await work.connection.fetch(
            "SELECT * FROM search_candidates('{1}', '{1}', '{2,3,4}', 'test-model',"
            " '[1,0,0,0,0,0,0,0]', NULL, 100, 100)"
        )
        assert rows == []


async def test_passages_deleted_while_they_were_embedded_are_skipped(
    database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        added = await add_document(work, await new_library(work), ["one", "two"])
        await work.connection.execute("DELETE FROM chunks WHERE chunk_id = $1", added.chunk_ids[0])
        vectors = np.stack([unit(1), unit(1)])
        assert await INDEX.upsert_embeddings(work, MODEL, added.chunk_ids, vectors) == 1


async def test_equal_passages_share_a_vector(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        first = await add_document(work, library, ["same", "different"])
        await INDEX.upsert_embeddings(work, MODEL, first.chunk_ids, np.stack([unit(1), unit(0, 1)]))
        second = await add_document(work, library, ["same", "new"])
        assert await INDEX.reuse_embeddings(work, MODEL, [second.document_id]) == 1
        assert await INDEX.unembedded(work, MODEL) == [second.chunk_ids[1]]
        assert await INDEX.unembedded(work, MODEL, document_ids=[first.document_id]) == []


async def test_vectors_of_the_wrong_shape_are_refused(
    database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        added = await add_document(work, await new_library(work), ["one"])
        with pytest.raises(EmbeddingShapeError):
            await INDEX.upsert_embeddings(work, MODEL, added.chunk_ids, np.ones((2, 8), np.float32))
        with pytest.raises(EmbeddingShapeError):
            await INDEX.upsert_embeddings(
                work, EmbeddingModel("test-model", 9), added.chunk_ids, unit(1)[None]
            )
