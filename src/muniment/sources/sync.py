"""The sync engine: bring documents in step with what a source holds now.

A run lists the source in batches. Items that the source says are unchanged are only
marked as met; new and changed ones are stored and their conversion is enqueued in the
same transaction; what the run did not meet is forgotten at its end. Every step can be
repeated, so a run that was killed is simply run again.

Where the organization's quota ends, a run goes on to list, so that it still brings in step
what is stored and forgets what is gone, but takes in no more items; it fails and says how
many it left out.
"""

from __future__ import annotations

import asyncio
import itertools
import mimetypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from muniment.db import OrgId, UnitOfWork, load_statements
from muniment.documents.blobs import BlobStore
from muniment.documents.convert_errors import FileTooLarge, FileUnreadable
from muniment.documents.errors import FileChanging
from muniment.documents.importing import (
    FittingItems,
    ImportCounts,
    Item,
    Source,
    UnreadableItem,
    fitting_items,
    forget_unseen,
    import_items,
    keep_folders,
    known_items,
    record_unreadable,
)
from muniment.documents.search_index import SearchIndex
from muniment.errors import MunimentError
from muniment.jobs import RunningJob
from muniment.sources.errors import FileVanished, NotAFile
from muniment.sources.local_folder.walk import FoundFile, UnlistedFolder, walk
from muniment.tenancy.quotas.errors import QuotaExceeded
from muniment.tenancy.quotas.usage import FileLimit, readable
from muniment.tier_settings import Tiers

statements = load_statements("muniment.sources")

FIRST_BATCH = 16
"""Small, so that the first files of a large folder are searchable within a second or two."""
BATCH = 256

T = TypeVar("T")


@dataclass(slots=True)
class FolderSync:
    """One run over one folder."""

    job: RunningJob
    source: Source
    root: Path
    run_id: UUID
    blobs: BlobStore
    index: SearchIndex
    limit: FileLimit
    tiers: Tiers
    _unlisted: list[UnlistedFolder] = field(default_factory=list)
    _found: int = 0
    _left_out: int = 0
    """Items that the quota had no room for."""

    async def run(self) -> None:
        """List the folder to its end and forget what is gone.

        Raises:
            FolderNotFound, FolderUnreadable: nothing was changed.
            DiskFull, BlobStoreUnavailable: what was imported so far stays; run it again.
            QuotaExceeded: what there was room for is imported, and what is gone is forgotten.
            OrganizationSuspended: what was imported so far stays.
        """
        await self._list()
        if await self._forget() and self._left_out:
            # What is gone has made room, and nothing but a second look tells for what.
            await self._list()
            await self._forget()
        if self._left_out:
            raise QuotaExceeded(
                f"{self._left_out:,} of {self._found:,} items were left out: the organization "
                "has used up what its tier allows (see /v1/usage). The next sync goes on once "
                "there is room."
            )
        async with self.job.unit_of_work() as work:
            await statements.finish_run(work, run_id=self.run_id)

    async def _list(self) -> None:
        self._unlisted, self._found, self._left_out = [], 0, 0
        async with self.job.unit_of_work() as work:
            await statements.restart_run(work, run_id=self.run_id)
        listing = walk(self.root)
        size = FIRST_BATCH
        while batch := await asyncio.to_thread(_take, listing, size):
            await self._take_in(batch)
            size = BATCH

    async def _take_in(self, batch: Sequence[FoundFile | UnlistedFolder]) -> None:
        files = [entry for entry in batch if isinstance(entry, FoundFile)]
        self._unlisted += [entry for entry in batch if isinstance(entry, UnlistedFolder)]
        self._found += len(files)
        async with self.job.unit_of_work() as work:
            names = [file.external_id for file in files]
            known = await known_items(work, self.source, self.run_id, names)
        fresh = [
            file
            for file in files
            if (stored := known.get(file.external_id)) is None
            or stored.version != file.version
            or stored.stranded
        ]
        if self._left_out:
            # Nothing new fits any more, so it is not even read.
            new = [file for file in fresh if file.external_id not in known]
            self._left_out += len(new)
            fresh = [file for file in fresh if file.external_id in known]
        items, unreadable = await asyncio.to_thread(self._store, fresh)
        await self._keep(len(files), items, unreadable)
        await self.job.progress(self._found, self._found, unit="files")

    async def _keep(
        self, found: int, items: Sequence[Item], unreadable: Sequence[UnreadableItem]
    ) -> None:
        """Record a batch, or the part of it that the quota has room for."""
        try:
            async with self.job.unit_of_work() as work:
                await self._record(work, found, items, unreadable)
        except QuotaExceeded:
            async with self.job.unit_of_work() as work:
                fitting = await self._fitting(work, items, unreadable)
                await self._record(work, found, fitting.items, fitting.unreadable)
            self._left_out += fitting.left_out

    async def _fitting(
        self, work: UnitOfWork, items: Sequence[Item], unreadable: Sequence[UnreadableItem]
    ) -> FittingItems:
        return await fitting_items(work, self.source, items, unreadable, self.tiers)

    async def _record(
        self,
        work: UnitOfWork,
        found: int,
        items: Sequence[Item],
        unreadable: Sequence[UnreadableItem],
    ) -> None:
        counts = ImportCounts(0, 0)
        if items:
            counts = await import_items(
                work, self.source, self.run_id, items, self.tiers, parent_id=self.job.job_id
            )
        if unreadable:
            await record_unreadable(
                work, self.index, self.source, self.run_id, unreadable, tiers=self.tiers
            )
        await statements.count_batch(
            work,
            run_id=self.run_id,
            found=found,
            added=counts.added,
            changed=counts.changed,
            unreadable=len(unreadable),
        )

    def _store(self, files: Sequence[FoundFile]) -> tuple[list[Item], list[UnreadableItem]]:
        items: list[Item] = []
        unreadable: list[UnreadableItem] = []
        for file in files:
            try:
                items.append(_stored(self.blobs, self.job.scope.org_id, file, self.limit))
            except (FileVanished, FileUnreadable, FileTooLarge, NotAFile, FileChanging) as error:
                unreadable.append(_unreadable(file, error))
        return items, unreadable

    async def _forget(self) -> int:
        """Forget what the listing did not meet; return how many documents that were."""
        if self._unlisted:
            prefixes = [folder.prefix for folder in self._unlisted]
            async with self.job.unit_of_work() as work:
                await keep_folders(work, self.source, self.run_id, prefixes)
            await self._keep_unlisted()
        total, removed = 0, -1
        while removed != 0:
            async with self.job.unit_of_work() as work:
                removed = await forget_unseen(work, self.index, self.source, self.run_id)
                await statements.count_removed(work, run_id=self.run_id, removed=removed)
            total += removed
        return total

    async def _keep_unlisted(self) -> None:
        """Record folders that could not be listed, as far as the quota has room for them."""
        entries = [_unlisted(self.root, folder) for folder in self._unlisted]
        async with self.job.unit_of_work() as work:
            fitting = await self._fitting(work, [], entries)
            if fitting.unreadable:
                await record_unreadable(
                    work, self.index, self.source, self.run_id, fitting.unreadable, tiers=self.tiers
                )
        self._left_out += fitting.left_out


def _take(listing: Iterator[T], size: int) -> list[T]:
    return list(itertools.islice(listing, size))


def _stored(blobs: BlobStore, org_id: OrgId, file: FoundFile, limit: FileLimit) -> Item:
    if not file.regular:
        raise NotAFile
    if file.size_bytes > limit.bytes:
        raise FileTooLarge(f"The file has {readable(file.size_bytes)}. {limit}")
    try:
        digest, size = blobs.put_file(org_id, file.path)
    except FileNotFoundError as error:
        raise FileVanished from error
    except OSError as error:
        raise FileUnreadable(f"The file cannot be read: {error.strerror}.") from error
    return Item(
        external_id=file.external_id,
        title=Path(file.external_id).name,
        url=file.path.as_uri(),
        media_type=mimetypes.guess_type(file.path.name)[0],
        size_bytes=size,
        content_hash=digest,
        version=file.version,
        updated_at=_moment(file.changed_at),
    )


def _unreadable(file: FoundFile, error: MunimentError) -> UnreadableItem:
    name = Path(file.external_id).name
    return UnreadableItem(file.external_id, name, file.path.as_uri(), error.code, error.detail)


def _unlisted(root: Path, folder: UnlistedFolder) -> UnreadableItem:
    return UnreadableItem(
        folder.prefix,
        folder.prefix,
        (root / folder.prefix).as_uri(),
        "folder_unreadable",
        f"The folder cannot be listed: {folder.reason}. What was known of it is kept.",
    )


def _moment(seconds: float) -> datetime | None:
    """Return a file's time of change; a nonsensical one, as some archives leave, is none."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
