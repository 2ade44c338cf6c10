"""Documents with known words and vectors, written as the import writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from muniment.db import UnitOfWork, new_id
from muniment.documents.search_index import (
    CandidateQuery,
    EmbeddingModel,
    IndexedPassage,
    SearchFilters,
    Vectors,
)
from muniment.search.postgres import PostgresSearchIndex

MODEL = EmbeddingModel("test-model", 8)
INDEX = PostgresSearchIndex()


class Library(msgspec.Struct):
    """A source to put documents into."""

    source_id: UUID
    workspace_id: UUID


class Added(msgspec.Struct):
    """A document and its passages."""

    document_id: UUID
    chunk_ids: list[UUID]


async def new_library(work: UnitOfWork, workspace: str = "default") -> Library:
    """Return a new source in a workspace, which is made if it is not there."""
    workspace_id = await work.connection.fetchval(
        "INSERT INTO workspaces (org_id, workspace_id, name) VALUES ($1, $2, $3)"
        " ON CONFLICT (org_id, name) DO UPDATE SET name = excluded.name RETURNING workspace_id",
        work.scope.org_id,
        new_id(),
        workspace,
    )
    source_id = new_id()
    await work.connection.execute(
        "INSERT INTO sources (org_id, source_id, workspace_id, type, name, location)"
        " VALUES ($1, $2, $3, 'local_folder', 'folder', $4)",
        work.scope.org_id,
        source_id,
        workspace_id,
        str(source_id),
    )
    return Library(source_id, workspace_id)


async def add_document(
    work: UnitOfWork,
    library: Library,
    texts: Sequence[str],
    *,
    title: str = "Untitled",
    media_type: str = "text/markdown",
    metadata: dict[str, Any] | None = None,
    updated_at: datetime | None = None,
    heading_path: Sequence[str] = (),
    index: bool = True,
) -> Added:
    """Add a document whose passages are `texts`, findable by their words."""
    document_id = new_id()
    await work.connection.execute(
        "INSERT INTO documents (org_id, document_id, workspace_id, source_id, external_id, title,"
        " media_type, size_bytes, content_hash, status, metadata, source_updated_at, chunk_count)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, 'searchable', $9, $10, $11)",
        work.scope.org_id,
        document_id,
        library.workspace_id,
        library.source_id,
        str(document_id),
        title,
        media_type,
        bytes(32),
        metadata or {},
        updated_at,
        len(texts),
    )
    chunk_ids = [new_id() for _ in texts]
    await work.connection.executemany(
        "INSERT INTO chunks (org_id, chunk_id, document_id, ordinal, text, heading_path,"
        " start_offset, end_offset, token_count, embed_hash)"
        " VALUES ($1, $2, $3, $4, $5, $6, 0, 1, 1, $7)",
        [
            (
                work.scope.org_id,
                chunk_id,
                document_id,
                ordinal,
                text,
                list(heading_path),
                hashlib.sha256(text.encode()).digest(),
            )
            for ordinal, (chunk_id, text) in enumerate(zip(chunk_ids, texts, strict=True))
        ],
    )
    added = Added(document_id, chunk_ids)
    if index:
        await index_passages(work, added, texts, title=title, heading_path=heading_path)
    return added


async def index_passages(
    work: UnitOfWork,
    added: Added,
    texts: Sequence[str],
    *,
    title: str = "Untitled",
    heading_path: Sequence[str] = (),
) -> None:
    """Make the passages of a document findable by their words."""
    await INDEX.upsert(
        work,
        [
            IndexedPassage(chunk_id, added.document_id, title, heading_path, text)
            for chunk_id, text in zip(added.chunk_ids, texts, strict=True)
        ],
    )


def unit(*components: float) -> Vectors:
    """Return a vector of the test model's length and of unit norm."""
    vector = np.zeros(MODEL.dimensions, dtype=np.float32)
    vector[: len(components)] = components
    return vector / np.linalg.norm(vector)


async def by_words(
    work: UnitOfWork, words: str, *, depth: int = 100, **filters: Any
) -> dict[UUID, float | None]:
    """Return the lexical leg's chunks, best first, with their scores."""
    found = await INDEX.candidates(
        work, CandidateQuery(words, None, None, depth, SearchFilters(**filters))
    )
    found.sort(key=lambda one: one.lexical_rank or 0)
    return {one.chunk_id: one.lexical_score for one in found}


async def by_meaning(
    work: UnitOfWork, vector: Vectors, *, depth: int = 100, **filters: Any
) -> dict[UUID, float | None]:
    """Return the semantic leg's chunks, nearest first, with their scores."""
    found = await INDEX.candidates(
        work, CandidateQuery(None, vector, MODEL, depth, SearchFilters(**filters))
    )
    found.sort(key=lambda one: one.semantic_rank or 0)
    return {one.chunk_id: one.semantic_score for one in found}
