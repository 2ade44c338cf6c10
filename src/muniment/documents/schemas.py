"""Documents and passages as clients see them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from msgspec import Meta, Struct

from muniment.jobs.schemas import Job


class DocumentStatus(StrEnum):
    """Where a document stands."""

    PENDING = "pending"
    SEARCHABLE = "searchable"
    EMBEDDED = "embedded"
    FAILED = "failed"


class DocumentError(Struct, frozen=True):
    """Why a document could not be brought in."""

    code: str
    detail: str


class Document(Struct, frozen=True, kw_only=True):
    """One imported item."""

    id: UUID
    workspace_id: UUID
    source_id: UUID
    path: str
    title: str
    url: str | None
    media_type: str | None
    size_bytes: int
    status: DocumentStatus
    error: DocumentError | None
    page_count: int | None
    chunk_count: int
    source_updated_at: datetime | None
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any] | None = None
    """What the content tells of itself; only where one document is asked for."""

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Document:
        """Read the columns that `list_documents` and `get_document` select."""
        code = row["error_code"]
        return cls(
            id=row["document_id"],
            workspace_id=row["workspace_id"],
            source_id=row["source_id"],
            path=row["external_id"],
            title=row["title"],
            url=row["url"],
            media_type=row["media_type"],
            size_bytes=row["size_bytes"],
            status=DocumentStatus(row["status"]),
            error=None if code is None else DocumentError(code, row["error_detail"] or ""),
            page_count=row["page_count"],
            chunk_count=row["chunk_count"],
            source_updated_at=row["source_updated_at"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            metadata=row.get("metadata"),
        )


class Upload(Struct, frozen=True):
    """What became of an upload: its documents, and the job that makes them searchable."""

    job: Job
    documents: list[UUID]


class DocumentPage(Struct, frozen=True):
    """A page of the library."""

    items: list[Document]
    next_cursor: str | None


class FetchDocuments(Struct, frozen=True, forbid_unknown_fields=True):
    """Which documents to show."""

    ids: Annotated[list[UUID], Meta(min_length=1, max_length=100)]


class FetchedDocuments(Struct, frozen=True):
    """The documents that were asked for, in the order of the question."""

    items: list[Document]
    missing: list[UUID]
    """Ids of which the organization, or the caller's workspace, has no document."""


class Passage(Struct, frozen=True, kw_only=True):
    """One retrievable passage; offsets are in characters of the document's content."""

    id: UUID
    ordinal: int
    text: str
    heading_path: list[str]
    page: int | None
    start_offset: int
    end_offset: int
    token_count: int


class PassagePage(Struct, frozen=True):
    """A page of a document's passages."""

    items: list[Passage]
    next_cursor: str | None
