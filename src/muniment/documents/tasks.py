"""Job handlers of the documents: conversion and embedding, in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from muniment.db import UnitOfWork
from muniment.documents.blobs import BlobStore
from muniment.documents.conversion_batch import ConversionBatch
from muniment.documents.convert import Converter
from muniment.documents.embedding import Embedder
from muniment.documents.embedding_batch import EmbeddingBatch
from muniment.documents.search_index import SearchIndex
from muniment.jobs import Lane, RunningJob, enqueue, enqueue_many, task

BATCH_DOCUMENTS = 32
BATCH_BYTES = 2 * 1024 * 1024


class DocumentsPayload(msgspec.Struct, frozen=True):
    """The documents that a job works on."""

    document_ids: list[UUID]


@task(kind="documents.convert", lane=Lane.CONVERT, deadline=timedelta(minutes=30), max_attempts=5)
async def convert_documents(job: RunningJob, payload: DocumentsPayload) -> None:
    """Convert documents and make them searchable by their words; then have them embedded."""
    batch = ConversionBatch(
        job,
        job.resource(Converter),
        job.resource(BlobStore),
        job.resource(SearchIndex),  # type: ignore[type-abstract]
        enqueue_embedding,
    )
    try:
        await batch.run(payload.document_ids)
    except Exception as error:
        # Whatever it was: no attempt follows, and documents must not wait for ever.
        if job.attempt >= convert_documents.max_attempts:
            await batch.give_up(payload.document_ids, error)
        raise


@task(kind="documents.embed", lane=Lane.EMBED, deadline=timedelta(hours=1), max_attempts=5)
async def embed_documents(job: RunningJob, payload: DocumentsPayload) -> None:
    """Give the passages of documents their vectors."""
    await EmbeddingBatch(
        job,
        job.resource(Embedder),
        job.resource(SearchIndex),  # type: ignore[type-abstract]
        payload.document_ids,
    ).run()


async def enqueue_embedding(
    work: UnitOfWork, document_ids: list[UUID], source_id: UUID | None
) -> None:
    """Enqueue the embedding of documents of a source that became searchable."""
    await enqueue(work, embed_documents, DocumentsPayload(document_ids), group_id=source_id)


async def enqueue_conversion(
    work: UnitOfWork,
    documents: Sequence[tuple[UUID, int]],
    *,
    source_id: UUID,
    parent_id: UUID | None,
) -> None:
    """Enqueue the conversion of documents (id, size in bytes), in batches of bounded size.

    `parent_id` is the job of the sync that found them.
    """
    payloads = [DocumentsPayload(batch) for batch in _batches(documents)]
    if payloads:
        await enqueue_many(
            work, convert_documents, payloads, parent_id=parent_id, group_id=source_id
        )


def _batches(documents: Iterable[tuple[UUID, int]]) -> Iterator[list[UUID]]:
    """Cut into batches, so that a large file keeps few small ones waiting."""
    batch: list[UUID] = []
    size = 0
    for document_id, size_bytes in sorted(documents, key=lambda document: document[1]):
        if batch and (len(batch) == BATCH_DOCUMENTS or size + size_bytes > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(document_id)
        size += size_bytes
    if batch:
        yield batch


tasks = [convert_documents, embed_documents]
