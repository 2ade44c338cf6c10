"""The library: listing documents, reading one, forgetting one."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from muniment.db import UnitOfWork, load_statements
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.documents.errors import DocumentNotFound
from muniment.documents.schemas import (
    Document,
    DocumentPage,
    DocumentStatus,
    FetchedDocuments,
    Passage,
    PassagePage,
)
from muniment.documents.search_index import SearchIndex
from muniment.tenancy.audit.record import record
from muniment.tenancy.permissions import Action, require_in_workspace
from muniment.tenancy.quotas.usage import hold_usage

statements = load_statements("muniment.documents")

_NEWEST = UUID(int=2**128 - 1)


class DocumentFilter(msgspec.Struct, frozen=True):
    """Which documents to list; what is None does not matter."""

    source_id: UUID | None = None
    status: DocumentStatus | None = None


async def list_documents(
    work: UnitOfWork, wanted: DocumentFilter, *, limit: int, cursor: str | None, secret: bytes
) -> DocumentPage:
    """Return a page of documents, newest first, in one statement.

    Raises:
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    before = _NEWEST if cursor is None else decode_cursor(secret, "documents", cursor, UUID)
    rows = await statements.list_documents(
        work,
        before=before,
        workspace_id=work.scope.workspace_id,
        source_id=wanted.source_id,
        status=wanted.status,
        limit=limit + 1,
    )
    items = [Document.from_row(row) for row in rows[:limit]]
    more = len(rows) > limit
    return DocumentPage(items, encode_cursor(secret, "documents", items[-1].id) if more else None)


async def find_document(work: UnitOfWork, document_id: UUID) -> asyncpg.Record:
    """Return the row of one document.

    Raises:
        DocumentNotFound: the organization (or the caller's workspace) has no such document.
    """
    row: asyncpg.Record | None = await statements.get_document(
        work, document_id=document_id, workspace_id=work.scope.workspace_id
    )
    if row is None:
        raise DocumentNotFound
    return row


async def fetch_documents(work: UnitOfWork, ids: Sequence[UUID]) -> FetchedDocuments:
    """Return documents by their ids, each once, in one statement."""
    rows = await statements.fetch_documents(
        work, document_ids=list(ids), workspace_id=work.scope.workspace_id
    )
    found = {row["document_id"]: Document.from_row(row) for row in rows}
    wanted = list(dict.fromkeys(ids))
    return FetchedDocuments(
        [found[one] for one in wanted if one in found],
        [one for one in wanted if one not in found],
    )


async def list_passages(
    work: UnitOfWork, document_id: UUID, *, limit: int, cursor: str | None, secret: bytes
) -> PassagePage:
    """Return a page of a document's passages in reading order, in two statements.

    Raises:
        DocumentNotFound: there is no such document.
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    await find_document(work, document_id)
    listing = f"chunks:{document_id}"
    after = -1 if cursor is None else decode_cursor(secret, listing, cursor, int)
    rows = await statements.list_chunks(work, document_id=document_id, after=after, limit=limit + 1)
    items = [
        Passage(
            id=row["chunk_id"],
            ordinal=row["ordinal"],
            text=row["text"],
            heading_path=row["heading_path"],
            page=row["page"],
            start_offset=row["start_offset"],
            end_offset=row["end_offset"],
            token_count=row["token_count"],
        )
        for row in rows[:limit]
    ]
    more = len(rows) > limit
    return PassagePage(items, encode_cursor(secret, listing, items[-1].ordinal) if more else None)


async def delete_document(work: UnitOfWork, index: SearchIndex, document_id: UUID) -> None:
    """Forget a document; it is searchable nowhere after the commit.

    Raises:
        DocumentNotFound: there is no such document.
        NotAllowed: the caller may only read in its workspace.
    """
    row = await find_document(work, document_id)
    require_in_workspace(work.scope, Action.DOCUMENTS_WRITE, row["workspace_id"])
    # Imports hold what is used before they touch what they import, and so does this.
    await hold_usage(work)
    await index.delete(work, [document_id])
    await statements.delete_documents(work, document_ids=[document_id])
    await record(
        work,
        "document.deleted",
        target_type="document",
        target_id=str(document_id),
        before={"title": row["title"]},
    )
