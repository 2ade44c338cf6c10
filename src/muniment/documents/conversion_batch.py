"""Turning pending documents into searchable ones: convert, store the text, settle.

Equal content is converted once in an organization: a document whose bytes are already
searchable as another document takes over that one's passages.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import PurePath
from uuid import UUID

import asyncpg

from muniment.db import UnitOfWork, load_statements
from muniment.documents.blobs import BlobStore
from muniment.documents.chunk import Chunk
from muniment.documents.conversion import Conversion, ConversionItem
from muniment.documents.convert import Converter
from muniment.documents.convert_errors import ConversionError, ConversionUnavailable
from muniment.documents.errors import BlobNotFound
from muniment.documents.passages import (
    WRITE_BATCH,
    ChunkBatches,
    FailedContent,
    NewContent,
    settle,
)
from muniment.documents.search_index import SearchIndex
from muniment.errors import MunimentError
from muniment.jobs import RunningJob

statements = load_statements("muniment.documents")

OnSearchable = Callable[[UnitOfWork, list[UUID], UUID | None], Awaitable[object]]
"""Told, within the transaction, which documents became searchable, and their source if known."""

_OF_THE_CONTENT = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)
"""What the database answers to a text it cannot hold or index; trying again changes nothing."""


@dataclass(frozen=True, slots=True)
class ConversionBatch:
    """The documents of one conversion job."""

    job: RunningJob
    converter: Converter
    blobs: BlobStore
    index: SearchIndex
    on_searchable: OnSearchable

    async def run(self, document_ids: Sequence[UUID]) -> None:
        """Make the pending ones among the documents searchable, or record why they are not.

        Raises:
            DiskFull, BlobStoreUnavailable: nothing was settled; to be tried again.
            ConversionUnavailable: some could not be read now, the others are settled.
        """
        async with self.job.unit_of_work() as work:
            waiting = await statements.pending_documents(work, document_ids=list(document_ids))
            hashes = [row["content_hash"] for row in waiting]
            twins = {
                row["content_hash"]: row
                for row in await statements.converted_twins(work, hashes=hashes)
                # One that is called after its file would lend its name; that is not content.
                if row["title"] != PurePath(row["external_id"]).stem
            }
        total = len(document_ids)
        await self.job.progress(total - len(waiting), total, "documents")
        fresh = [row for row in waiting if row["content_hash"] not in twins]
        contents = [
            _of_twin(row, twin) for row in waiting if (twin := twins.get(row["content_hash"]))
        ]
        conversions: list[Conversion] = []
        try:
            outcomes = await self._convert(fresh)
            conversions += [one for one in outcomes if isinstance(one, Conversion)]
            failures: list[FailedContent] = []
            unavailable: ConversionUnavailable | None = None
            for row, outcome in zip(fresh, outcomes, strict=True):
                if isinstance(outcome, Conversion):
                    contents.append(await self._stored(row, outcome))
                elif isinstance(outcome, ConversionUnavailable):
                    unavailable = outcome
                else:
                    failures.append(_failed(row, outcome.code, outcome.detail))
            await self._settle(contents, failures)
            if unavailable is not None:
                raise unavailable
            await self.job.progress(total, total, "documents")
        finally:
            for conversion in conversions:
                await conversion.discard()

    async def give_up(self, document_ids: Sequence[UUID], error: Exception) -> None:
        """Mark the documents that still wait as failed, with the error that kept them."""
        code = error.code if isinstance(error, MunimentError) else "conversion_failed"
        async with self.job.unit_of_work() as work:
            waiting = await statements.pending_documents(work, document_ids=list(document_ids))
            await settle(work, self.index, [], [_failed(row, code, str(error)) for row in waiting])

    async def _convert(self, rows: Sequence[asyncpg.Record]) -> list[Conversion | ConversionError]:
        async with AsyncExitStack() as files:
            items: list[ConversionItem] = []
            missing: dict[int, ConversionError] = {}
            for position, row in enumerate(rows):
                try:
                    path = await files.enter_async_context(
                        self.blobs.as_file(self.job.scope.org_id, row["content_hash"])
                    )
                except BlobNotFound as error:
                    missing[position] = ConversionError(error.detail)
                    continue
                items.append(ConversionItem(path, row["external_id"], row["media_type"]))
            outcomes = list(await self.converter.convert_many(items))
        for position, failure in missing.items():
            outcomes.insert(position, failure)
        return outcomes

    async def _stored(self, row: asyncpg.Record, conversion: Conversion) -> NewContent:
        org_id = self.job.scope.org_id
        if conversion.text_path is not None:
            await asyncio.to_thread(self.blobs.put_file, org_id, conversion.text_path)
        else:
            text = (await conversion.markdown()).encode()
            await asyncio.to_thread(self.blobs.put, org_id, text)
        return NewContent(
            document_id=row["document_id"],
            content_hash=row["content_hash"],
            title=conversion.title,
            media_type=conversion.media_type,
            metadata=conversion.metadata | _warnings(conversion),
            page_count=len(conversion.pages) or None,
            text_hash=conversion.text_hash,
            chunk_count=conversion.chunk_count,
            chunk_batches=lambda _work: conversion.chunk_batches(WRITE_BATCH),
        )

    async def _settle(
        self, contents: Sequence[NewContent], failures: Sequence[FailedContent]
    ) -> None:
        """Settle all in one transaction; if one spoils it, each in its own."""
        try:
            async with self.job.unit_of_work() as work:
                searchable = await settle(work, self.index, contents, failures)
                if searchable:
                    await self.on_searchable(work, searchable, self.job.group_id)
        except _OF_THE_CONTENT as error:
            if len(contents) == 1:
                reason = f"The text cannot be stored: {error}"
                await self._settle([], [*failures, _failed(contents[0], "text_unusable", reason)])
                return
            await self._settle([], failures)
            for content in contents:
                await self._settle([content], [])


def _failed(row: asyncpg.Record | NewContent, code: str, detail: str) -> FailedContent:
    if isinstance(row, NewContent):
        return FailedContent(row.document_id, row.content_hash, code, detail)
    return FailedContent(row["document_id"], row["content_hash"], code, detail)


def _warnings(conversion: Conversion) -> dict[str, object]:
    return {"warnings": conversion.warnings} if conversion.warnings else {}


def _of_twin(row: asyncpg.Record, twin: asyncpg.Record) -> NewContent:
    return NewContent(
        document_id=row["document_id"],
        content_hash=row["content_hash"],
        title=twin["title"],
        media_type=twin["media_type"],
        metadata=twin["metadata"],
        page_count=twin["page_count"],
        text_hash=twin["text_hash"],
        chunk_count=twin["chunk_count"],
        chunk_batches=_chunks_of(twin["document_id"]),
    )


def _chunks_of(document_id: UUID) -> ChunkBatches:
    """Read the passages of a document in batches, in the transaction that copies them."""

    async def batches(work: UnitOfWork) -> AsyncIterator[list[Chunk]]:
        after = -1
        while rows := await statements.chunks_after(
            work, document_id=document_id, after=after, limit=WRITE_BATCH
        ):
            yield [
                Chunk(
                    row["ordinal"],
                    row["text"],
                    tuple(row["heading_path"]),
                    row["page"],
                    row["start_offset"],
                    row["end_offset"],
                    row["token_count"],
                )
                for row in rows
            ]
            after = rows[-1]["ordinal"]

    return batches
