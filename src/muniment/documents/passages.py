"""The passages of documents: written in bulk, replaced as a whole, never half."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from muniment.db import UnitOfWork, load_statements, new_id
from muniment.documents.chunk import Chunk, embed_hash, embedding_text
from muniment.documents.search_index import IndexedPassage, SearchIndex

statements = load_statements("muniment.documents")

WRITE_BATCH = 500
"""Passages that are in memory and on their way to the database at a time."""

_HEADING_SEPARATOR = "\x1f"
"""The unit separator: what headings are joined with on their way into an array of arrays."""

ChunkBatches = Callable[[UnitOfWork], AsyncIterator[list[Chunk]]]


@dataclass(frozen=True, slots=True)
class NewContent:
    """The converted content of one document, ready to be made searchable."""

    document_id: UUID
    content_hash: bytes
    title: str
    media_type: str
    metadata: dict[str, Any]
    page_count: int | None
    text_hash: bytes
    chunk_count: int
    chunk_batches: ChunkBatches
    """Yields the chunks in order, a bounded number at a time."""


@dataclass(frozen=True, slots=True)
class FailedContent:
    """A document that could not be converted, and why."""

    document_id: UUID
    content_hash: bytes
    error_code: str
    error_detail: str


async def settle(
    work: UnitOfWork,
    index: SearchIndex,
    contents: Sequence[NewContent],
    failures: Sequence[FailedContent],
) -> list[UUID]:
    """Make contents searchable and record failures, replacing what the documents had.

    Documents that no longer wait for this very content (changed again, deleted, or done by
    another worker) are left alone. Returns the documents that now wait for vectors.
    """
    results: list[NewContent | FailedContent] = [*contents, *failures]
    rows = await statements.lock_pending(
        work,
        document_ids=[one.document_id for one in results],
        hashes=[one.content_hash for one in results],
    )
    waiting = {row["document_id"] for row in rows}
    if not waiting:
        return []
    await index.delete(work, list(waiting))
    await statements.delete_chunks(work, document_ids=list(waiting))
    ready = [content for content in contents if content.document_id in waiting]
    if ready:
        await _write(work, index, ready)
    failed = [failure for failure in failures if failure.document_id in waiting]
    if failed:
        await statements.fail_documents(
            work,
            document_ids=[one.document_id for one in failed],
            error_codes=[one.error_code for one in failed],
            error_details=[one.error_detail for one in failed],
        )
    return [content.document_id for content in ready if content.chunk_count]


async def _write(work: UnitOfWork, index: SearchIndex, contents: Sequence[NewContent]) -> None:
    await statements.finish_conversions(
        work,
        document_ids=[content.document_id for content in contents],
        titles=[content.title for content in contents],
        media_types=[content.media_type for content in contents],
        metadata=[content.metadata for content in contents],
        page_counts=[content.page_count for content in contents],
        chunk_counts=[content.chunk_count for content in contents],
        text_hashes=[content.text_hash for content in contents],
    )
    gathered: list[tuple[NewContent, Chunk]] = []
    for content in contents:
        async for batch in content.chunk_batches(work):
            gathered += [(content, chunk) for chunk in batch]
            if len(gathered) >= WRITE_BATCH:
                await _write_chunks(work, index, gathered)
                gathered = []
    if gathered:
        await _write_chunks(work, index, gathered)


async def _write_chunks(
    work: UnitOfWork, index: SearchIndex, gathered: Sequence[tuple[NewContent, Chunk]]
) -> None:
    ids = [new_id() for _ in gathered]
    chunks = [chunk for _, chunk in gathered]
    await statements.insert_chunks(
        work,
        chunk_ids=ids,
        document_ids=[content.document_id for content, _ in gathered],
        ordinals=[chunk.ordinal for chunk in chunks],
        texts=[chunk.text for chunk in chunks],
        heading_paths=[_joined(chunk.heading_path) for chunk in chunks],
        pages=[chunk.page for chunk in chunks],
        starts=[chunk.start_offset for chunk in chunks],
        ends=[chunk.end_offset for chunk in chunks],
        token_counts=[chunk.token_count for chunk in chunks],
        embed_hashes=[
            embed_hash(embedding_text(chunk, content.title)) for content, chunk in gathered
        ],
    )
    await index.upsert(
        work,
        [
            IndexedPassage(
                chunk_id, content.document_id, content.title, chunk.heading_path, chunk.text
            )
            for chunk_id, (content, chunk) in zip(ids, gathered, strict=True)
        ],
    )


def _joined(heading_path: Sequence[str]) -> str:
    return _HEADING_SEPARATOR.join(
        heading.replace(_HEADING_SEPARATOR, " ") for heading in heading_path
    )
