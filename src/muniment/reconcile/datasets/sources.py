"""What waits to be loaded, made ready for the process that does it: files, queries, documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from muniment.db import load_statements
from muniment.documents.blobs import BlobStore
from muniment.documents.errors import BlobNotFound
from muniment.jobs import RunningJob
from muniment.reconcile.datasets.load_process import ToRead
from muniment.reconcile.datasets.schemas import ReadOptions
from muniment.reconcile.loading.documents import TEXT, load_documents
from muniment.settings import Settings

_statements = load_statements("muniment.reconcile.datasets")

_FIRST = UUID(int=0)
_PAGE = 500


async def opened_parts(
    job: RunningJob, parts: Sequence[asyncpg.Record], folder: Path, stack: AsyncExitStack
) -> list[ToRead]:
    """Return what a process is to read, in order; files are there while `stack` is open.

    Args:
        job: that loads them.
        parts: rows of `waiting_parts`.
        folder: for files that are made here.
        stack: closes what is opened.

    Raises:
        BlobNotFound: the bytes of a part are gone.
        DatasetUnreadable: a source has no documents.
    """
    return [await _opened(job, part, folder, stack) for part in parts]


async def _opened(
    job: RunningJob, part: asyncpg.Record, folder: Path, stack: AsyncExitStack
) -> ToRead:
    origin = part["origin"]
    blobs = job.resource(BlobStore)
    match origin["kind"]:
        case "query":
            known = job.resource(Settings).reconcile_connections
            address = known.get(origin["connection"])
            # One that the operator has taken away leads nowhere, which the load reports.
            dsn = "" if address is None else address.get_secret_value()
            return ToRead(part["name"], sql=origin["sql"], dsn=dsn)
        case "source":
            path = folder / f"documents-{part['ordinal']}.parquet"
            await load_documents(_documents(job, UUID(origin["source_id"])), path)
            return ToRead(part["name"], path=path)
        case "document":
            digest = await _original(job, UUID(origin["document_id"]))
        case _:
            digest = part["content_hash"]
    path = await stack.enter_async_context(blobs.as_file(job.scope.org_id, digest))
    options = msgspec.convert(part["options"], ReadOptions)
    return ToRead(
        part["name"],
        path=path,
        delimiter=options.delimiter,
        encoding=options.encoding,
        sheet=options.sheet,
    )


async def _original(job: RunningJob, document_id: UUID) -> bytes:
    async with job.unit_of_work() as work:
        row = await _statements.original_of_document(work, document_id=document_id)
    if row is None or row["content_hash"] is None:
        raise BlobNotFound
    digest: bytes = row["content_hash"]
    return digest


async def _documents(job: RunningJob, source_id: UUID) -> AsyncIterator[dict[str, Any]]:
    """Yield the documents of a source with how their texts begin."""
    after: UUID | None = _FIRST
    while after is not None:
        async with job.unit_of_work() as work:
            rows = await _statements.documents_of_source(
                work, source_id=source_id, after=after, limit=_PAGE
            )
        for row in rows:
            updated = row["source_updated_at"]
            yield {
                "document id": str(row["document_id"]),
                "title": row["title"],
                "path": row["external_id"],
                "url": row["url"],
                "type": row["media_type"],
                "size": row["size_bytes"],
                "date": None if updated is None else updated.date(),
                "text": await _beginning(job, row["text_hash"]),
            }
        after = rows[-1]["document_id"] if len(rows) == _PAGE else None


async def _beginning(job: RunningJob, digest: bytes | None) -> str | None:
    if digest is None:
        return None
    held = b""
    try:
        async for piece in await job.resource(BlobStore).stream(job.scope.org_id, digest):
            held += piece
            # Four bytes are the most that a character takes.
            if len(held) >= TEXT * 4:
                break
    except BlobNotFound:
        return None
    return held[: TEXT * 4].decode(errors="ignore")
