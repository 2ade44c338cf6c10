"""Taking in what a source holds: new and changed items, unreadable ones, and farewells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from muniment.db import UnitOfWork, WorkspaceId, load_statements, new_id
from muniment.documents.errors import UploadTooLarge
from muniment.documents.search_index import SearchIndex
from muniment.documents.tasks import enqueue_conversion
from muniment.tenancy.quotas.usage import Room, hold_usage, read_standing, readable, require_room
from muniment.tier_settings import Tiers

statements = load_statements("muniment.documents")

FORGET_BATCH = 500
"""Documents that are deleted in one transaction."""


class Source(msgspec.Struct, frozen=True):
    """The source that items come from."""

    source_id: UUID
    workspace_id: WorkspaceId


class Item(msgspec.Struct, frozen=True):
    """One item of a source whose bytes are stored as a blob."""

    external_id: str
    """Names the item within its source, for ever."""
    title: str
    url: str | None
    media_type: str | None
    size_bytes: int
    content_hash: bytes
    version: str | None
    """What the source says of this version; equal means unchanged."""
    updated_at: datetime | None


class UnreadableItem(msgspec.Struct, frozen=True):
    """One item whose bytes could not be had."""

    external_id: str
    title: str
    url: str | None
    error_code: str
    error_detail: str


class KnownItem(msgspec.Struct, frozen=True):
    """What is stored of an item."""

    version: str | None
    stranded: bool
    """Its conversion should long have ended: what was to do it is gone, so import it again."""


class ImportCounts(msgspec.Struct, frozen=True):
    """How many items were new, and how many had changed."""

    added: int
    changed: int


class FittingItems(msgspec.Struct, frozen=True):
    """The part of a batch that an organization's quotas have room for."""

    items: list[Item]
    unreadable: list[UnreadableItem]
    left_out: int
    """How many items there was no room for."""


async def known_items(
    work: UnitOfWork, source: Source, run_id: UUID, external_ids: Sequence[str]
) -> dict[str, KnownItem]:
    """Return what is stored of these items, and note that this run met them."""
    rows = await statements.mark_seen(
        work, run_id=run_id, source_id=source.source_id, external_ids=list(external_ids)
    )
    return {row["external_id"]: KnownItem(row["source_version"], row["stranded"]) for row in rows}


async def keep_folders(
    work: UnitOfWork, source: Source, run_id: UUID, prefixes: Sequence[str]
) -> None:
    """Keep what is stored below folders that the run could not list."""
    await statements.mark_folder_seen(
        work, run_id=run_id, source_id=source.source_id, prefixes=list(prefixes)
    )


async def import_items(
    work: UnitOfWork,
    source: Source,
    run_id: UUID,
    items: Sequence[Item],
    tiers: Tiers,
    *,
    parent_id: UUID | None = None,
) -> ImportCounts:
    """Record new and changed items and enqueue their conversion, in this transaction.

    The conversions are children of the job `parent_id`, which shows how they get on. What was
    searchable of a changed item stays so until its new content replaces it.

    Raises:
        QuotaExceeded, OrganizationSuspended, UploadTooLarge: see `upsert_items`.
    """
    rows = await upsert_items(work, source, run_id, items, tiers)
    waiting = [
        (row["document_id"], row["size_bytes"]) for row in rows if row["status"] == "pending"
    ]
    await enqueue_conversion(work, waiting, source_id=source.source_id, parent_id=parent_id)
    added = sum(row["added"] for row in rows)
    changed = sum(not row["added"] and row["status"] == "pending" for row in rows)
    return ImportCounts(added, changed)


async def upsert_items(
    work: UnitOfWork, source: Source, run_id: UUID | None, items: Sequence[Item], tiers: Tiers
) -> list[asyncpg.Record]:
    """Record new and changed items; return a row for each, see the statement's columns.

    Raises:
        QuotaExceeded: they do not fit what the organization's tier allows.
        UploadTooLarge: one is larger than the tier allows a file to be.
        OrganizationSuspended: nothing is taken in for it.
    """
    rows: list[asyncpg.Record] = await statements.upsert_documents(
        work,
        run_id=run_id,
        source_id=source.source_id,
        workspace_id=source.workspace_id,
        document_ids=[new_id() for _ in items],
        external_ids=[item.external_id for item in items],
        titles=[item.title for item in items],
        urls=[item.url for item in items],
        media_types=[item.media_type for item in items],
        sizes=[item.size_bytes for item in items],
        hashes=[item.content_hash for item in items],
        versions=[item.version for item in items],
        updated_ats=[item.updated_at for item in items],
    )
    standing = await require_room(work, tiers)
    most = tiers.of(standing.tier).max_file_bytes
    for item in items:
        if item.size_bytes > most:
            raise UploadTooLarge(
                f"{item.external_id} has {readable(item.size_bytes)}; in the tier "
                f"{standing.tier} a file may have {readable(most)}."
            )
    return rows


async def fitting_items(
    work: UnitOfWork,
    source: Source,
    items: Sequence[Item],
    unreadable: Sequence[UnreadableItem],
    tiers: Tiers,
) -> FittingItems:
    """Return what of a batch there is room for, and keep the room until the transaction ends.

    That is every item that grows nothing, and of the others those that come before the first
    one that does not fit: readable ones first, each list in its order.
    """
    await hold_usage(work)
    room = Room.of(await read_standing(work), tiers)
    names = [item.external_id for item in items]
    names += [item.external_id for item in unreadable]
    rows = await statements.stored_sizes(work, source_id=source.source_id, external_ids=names)
    stored: dict[str, int] = {row["external_id"]: row["size_bytes"] for row in rows}
    full = False

    def fits(name: str, size: int) -> bool:
        nonlocal full
        documents, growth = int(name not in stored), size - stored.get(name, 0)
        if full and (documents > 0 or growth > 0):
            return False
        if room.take(documents, growth):
            return True
        full = True
        return False

    kept = [item for item in items if fits(item.external_id, item.size_bytes)]
    failed = [item for item in unreadable if fits(item.external_id, 0)]
    return FittingItems(kept, failed, len(names) - len(kept) - len(failed))


async def record_unreadable(
    work: UnitOfWork,
    index: SearchIndex,
    source: Source,
    run_id: UUID,
    items: Sequence[UnreadableItem],
    *,
    tiers: Tiers,
) -> None:
    """Record items that cannot be read, with the reason; what was known of them goes.

    Raises:
        QuotaExceeded: there are more of them than the organization may have documents.
        OrganizationSuspended: nothing is taken in for it.
    """
    rows = await statements.upsert_failures(
        work,
        run_id=run_id,
        source_id=source.source_id,
        workspace_id=source.workspace_id,
        document_ids=[new_id() for _ in items],
        external_ids=[item.external_id for item in items],
        titles=[item.title for item in items],
        urls=[item.url for item in items],
        error_codes=[item.error_code for item in items],
        error_details=[item.error_detail for item in items],
    )
    if any(row["added"] for row in rows):
        await require_room(work, tiers)
    document_ids = [row["document_id"] for row in rows]
    await index.delete(work, document_ids)
    await statements.delete_chunks(work, document_ids=document_ids)


async def forget_unseen(work: UnitOfWork, index: SearchIndex, source: Source, run_id: UUID) -> int:
    """Delete up to `FORGET_BATCH` documents that a finished run did not meet.

    They are searchable nowhere after the commit. Returns how many there were; call it in
    transactions of its own until it returns 0.
    """
    rows = await statements.unseen_documents(
        work, source_id=source.source_id, run_id=run_id, limit=FORGET_BATCH
    )
    document_ids = [row["document_id"] for row in rows]
    if document_ids:
        await index.delete(work, document_ids)
        await statements.delete_documents(work, document_ids=document_ids)
    return len(document_ids)
