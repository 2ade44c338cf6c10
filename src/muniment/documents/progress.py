"""How far the documents of a source are, and which of them failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import msgspec

from muniment.db import UnitOfWork, load_statements

statements = load_statements("muniment.documents")


class SourceProgress(msgspec.Struct, frozen=True):
    """Documents of a source by status, and their passages."""

    pending: int
    """Documents that wait to be converted."""
    searchable: int
    """Documents that are found by their words; some passages have no vector yet."""
    embedded: int
    """Documents that are found by words and meaning."""
    failed: int
    unembedded_chunks: int
    chunks: int


class Failure(msgspec.Struct, frozen=True):
    """One item that could not be brought in."""

    path: str
    code: str
    detail: str


async def progress_of_source(work: UnitOfWork, source_id: UUID) -> SourceProgress:
    """Count a source's documents by status, in one statement."""
    row = await statements.source_counts(work, source_id=source_id)
    return SourceProgress(**dict(row))


async def failures_of(work: UnitOfWork, source_id: UUID) -> AsyncIterator[Failure]:
    """Yield the failed items of a source in the order of their names."""
    after = ""
    while rows := await statements.failures_of_source(work, source_id=source_id, after=after):
        for row in rows:
            yield Failure(row["external_id"], row["error_code"], row["error_detail"] or "")
        after = rows[-1]["external_id"]
