"""`SearchIndex` on the tables and functions of the search migrations."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from muniment.db import UnitOfWork, load_statements
from muniment.documents.search_index import (
    Candidate,
    CandidateQuery,
    EmbeddingModel,
    IndexedPassage,
    Vectors,
)
from muniment.search.errors import EmbeddingShapeError
from muniment.search.postgres.entries import Entry, count_words, entries, query_terms

statements = load_statements("muniment.search.postgres")

_BLOCKS_THE_LOOP = 32
"""Passages whose words take more than a few milliseconds to count."""


class _Element:
    """A vector as one element of an array parameter.

    asyncpg would take a bare numpy array for one more dimension of the parameter.
    """

    __slots__ = ("_vector",)

    def __init__(self, vector: Vectors) -> None:
        self._vector = vector

    def __array__(self, dtype: object = None, copy: bool | None = None) -> Vectors:
        return self._vector


class PostgresSearchIndex:
    """The search engine inside Postgres; implements `SearchIndex`, holds no state.

    Args:
        budget: passages that the lexical leg scores for a query. More cost about 0.9
            microseconds each; see benchmarks/search.py for what fewer cost in recall.
    """

    def __init__(self, *, budget: int = 3000) -> None:
        self._budget = budget

    async def upsert(self, uow: UnitOfWork, passages: Sequence[IndexedPassage]) -> None:
        """See `SearchIndex.upsert`."""
        if not passages:
            return
        if len(passages) < _BLOCKS_THE_LOOP:
            counted = count_words(passages)
        else:
            counted = await asyncio.to_thread(count_words, passages)
        mean_length = await self._mean_length(uow, counted)
        org_id = uow.scope.org_id
        if len(passages) < _BLOCKS_THE_LOOP:
            rows = entries(org_id, counted, mean_length)
        else:
            rows = await asyncio.to_thread(entries, org_id, counted, mean_length)
        await self._write(uow, passages, rows)

    async def upsert_embeddings(
        self,
        uow: UnitOfWork,
        model: EmbeddingModel,
        chunk_ids: Sequence[UUID],
        vectors: Vectors,
    ) -> int:
        """See `SearchIndex.upsert_embeddings`."""
        if vectors.shape != (len(chunk_ids), model.dimensions):
            raise EmbeddingShapeError(
                f"{len(chunk_ids)} passages and {model.dimensions} dimensions"
                f" do not fit vectors of shape {vectors.shape}."
            )
        if not chunk_ids:
            return 0
        model_id = await self._model_id(uow, model)
        await statements.lock_documents_of_chunks(uow, chunk_ids=list(chunk_ids))
        tag = await statements.upsert_embeddings(
            uow,
            model_id=model_id,
            chunk_ids=list(chunk_ids),
            vectors=[_Element(one) for one in vectors],
        )
        return _rows_of(tag)

    async def reuse_embeddings(
        self, uow: UnitOfWork, model: EmbeddingModel, document_ids: Sequence[UUID]
    ) -> int:
        """See `SearchIndex.reuse_embeddings`."""
        model_id = await self._model_id(uow, model)
        await statements.lock_documents(uow, document_ids=list(document_ids))
        tag = await statements.reuse_embeddings(
            uow, model_id=model_id, document_ids=list(document_ids)
        )
        return _rows_of(tag)

    async def unembedded(
        self,
        uow: UnitOfWork,
        model: EmbeddingModel,
        *,
        document_ids: Sequence[UUID] | None = None,
        limit: int = 1000,
    ) -> list[UUID]:
        """See `SearchIndex.unembedded`."""
        rows = await statements.unembedded(
            uow,
            model_id=await self._model_id(uow, model),
            document_ids=None if document_ids is None else list(document_ids),
            limit=limit,
        )
        return [row["chunk_id"] for row in rows]

    async def delete(self, uow: UnitOfWork, document_ids: Sequence[UUID]) -> None:
        """See `SearchIndex.delete`."""
        if document_ids:
            await statements.delete_entries(uow, document_ids=list(document_ids))
            await statements.delete_embeddings(uow, document_ids=list(document_ids))

    async def candidates(self, uow: UnitOfWork, query: CandidateQuery) -> list[Candidate]:
        """See `SearchIndex.candidates`."""
        words = query_terms(uow.scope.org_id, query.words or "")
        filters = query.filters
        rows = await statements.candidates(
            uow,
            query_terms=words.terms,
            counts=words.counts,
            tiers=words.tiers,
            model_name=None if query.model is None else query.model.name,
            query_embedding=query.embedding,
            workspace_id=filters.workspace_id,
            source_ids=filters.source_ids,
            document_ids=filters.document_ids,
            types=filters.types,
            updated_after=filters.updated_after,
            updated_before=filters.updated_before,
            metadata=filters.metadata,
            depth=query.depth,
            budget=self._budget,
        )
        return [Candidate(*row) for row in rows]

    async def rebuild(
        self, uow: UnitOfWork, *, after: UUID | None = None, limit: int = 1000
    ) -> UUID | None:
        """See `SearchIndex.rebuild`."""
        rows = await statements.chunks_to_index(uow, after=after, limit=limit)
        if not rows:
            return None
        passages = [IndexedPassage(*row) for row in rows]
        await self.upsert(uow, passages)
        return passages[-1].chunk_id

    async def _mean_length(self, uow: UnitOfWork, counted: Sequence[Counter[int]]) -> float:
        """Return the mean length of the organization's passages, these included, in words."""
        held = await statements.lexical_totals(uow)
        words: int = held["word_count"] + sum(one.total() for one in counted)
        passages: int = held["chunk_count"] + len(counted)
        return max(words / max(passages, 1), 1.0)

    async def _write(
        self, uow: UnitOfWork, passages: Sequence[IndexedPassage], rows: Sequence[Entry]
    ) -> None:
        chunk_ids = [passage.chunk_id for passage in passages]
        await statements.delete_entries_of_chunks(uow, chunk_ids=chunk_ids)
        await statements.insert_entries(
            uow,
            chunk_ids=chunk_ids,
            document_ids=[passage.document_id for passage in passages],
            lengths=[row.length for row in rows],
            terms=[row.terms for row in rows],
            weights=[row.weights for row in rows],
        )

    async def _model_id(self, uow: UnitOfWork, model: EmbeddingModel) -> int:
        number: int = await statements.embedding_model(
            uow, name=model.name, dimensions=model.dimensions
        )
        return number


def _rows_of(tag: str) -> int:
    """Return the number of rows in a command tag such as `INSERT 0 12`."""
    return int(tag.rsplit(" ", 1)[-1])
