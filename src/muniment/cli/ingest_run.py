"""Following an ingest: start the sync, see that somebody works, wait until it is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import msgspec
from rich.progress import Progress, TaskID

from muniment.cli.children import stop_all, worker_children
from muniment.cli.runtime import (
    local_session,
    progress_bars,
)
from muniment.db import Database, TenantScope
from muniment.documents.importing import Source
from muniment.documents.progress import Failure, SourceProgress, failures_of, progress_of_source
from muniment.documents.tasks import convert_documents, embed_documents
from muniment.errors import MunimentError
from muniment.jobs import JobId, live_workers
from muniment.jobs.listing import JobFilter, find_job, list_jobs
from muniment.jobs.schemas import Job, JobStatus
from muniment.settings import Settings
from muniment.sources.errors import FolderNotFound
from muniment.sources.library import SyncRun, connect_folder, get_run
from muniment.sources.tasks import schedule_sync, start_sync
from muniment.tenancy.first_start import workspace_of

_IN_VAIN = (
    "{count} {what} are left, and the jobs that were to do them have failed: "
    "`muniment jobs list --status failed` says why."
)
_LOOK = 0.2
"""Seconds between two looks at the progress."""


class SyncFailed(MunimentError):
    """The folder could not be brought in."""

    code = "sync_failed"
    title = "Sync failed"


class IngestResult(msgspec.Struct, frozen=True):
    """What an ingest did; counts are files unless they say passages."""

    path: str
    source_id: UUID
    found: int
    added: int
    changed: int
    removed: int
    unchanged: int
    failed: int
    searchable: int
    passages: int
    passages_waiting_for_vectors: int
    seconds: float
    seconds_to_first_searchable: float | None
    failures: list[Failure]
    next_sync_at: datetime | None = None
    """When the folder is synced again, if it was scheduled."""


class CronSchedule(NamedTuple):
    """How often a folder is to be synced, see `put_schedule`."""

    cron: str
    timezone: str


@dataclass(slots=True)
class _Watch:
    """One folder's sync, followed until every file is searchable or has failed."""

    database: Database
    scope: TenantScope
    source: Source
    run_id: UUID
    job_id: JobId
    started: float = field(default_factory=time.monotonic)
    first_searchable: float | None = None

    async def look(self) -> tuple[SyncRun, Job, SourceProgress]:
        async with self.database.unit_of_work(self.scope, read_only=True) as work:
            sync = await get_run(work, self.run_id)
            job = await find_job(work, self.job_id)
            progress = await progress_of_source(work, self.source.source_id)
        if self.first_searchable is None and (progress.searchable or progress.embedded):
            self.first_searchable = time.monotonic() - self.started
        return sync, job, progress

    async def at_work(self, kind: str) -> bool:
        """Tell whether jobs of a kind wait or run; if none does, waiting for them is in vain."""
        async with self.database.unit_of_work(self.scope, read_only=True) as work:
            for status in (JobStatus.RUNNING, JobStatus.QUEUED):
                wanted = JobFilter(status=status, kind=kind)
                page = await list_jobs(work, wanted, limit=1, cursor=None, secret=b"")
                if page.items:
                    return True
        return False

    async def failures(self) -> list[Failure]:
        async with self.database.unit_of_work(self.scope, read_only=True) as work:
            return [failure async for failure in failures_of(work, self.source.source_id)]


async def ingest_paths(
    settings: Settings,
    paths: Sequence[Path],
    *,
    wait: bool = False,
    schedule: CronSchedule | None = None,
    organization: str | None = None,
) -> list[IngestResult]:
    """Ingest folders or files into the local installation; see `ingest`."""
    for path in paths:
        if not path.exists():
            raise FolderNotFound(f"There is no folder or file {path}.")
    async with local_session(settings, organization) as local, _workers(local.database):
        return [
            await _ingest(local.database, local.scope, path, wait=wait, schedule=schedule)
            for path in paths
        ]


async def _ingest(
    database: Database,
    scope: TenantScope,
    path: Path,
    *,
    wait: bool,
    schedule: CronSchedule | None,
) -> IngestResult:
    resolved = await asyncio.to_thread(path.resolve)
    async with database.unit_of_work(scope) as work:
        workspace_id = await workspace_of(work)
        source = await connect_folder(work, workspace_id, resolved)
        planned = None
        if schedule is not None:
            planned = await schedule_sync(
                work, source, str(resolved), cron=schedule.cron, timezone=schedule.timezone
            )
        run_id, job_id = await start_sync(work, source)
    watch = _Watch(database, scope, source, run_id, job_id)
    with progress_bars() as bars:
        sync, progress = await _until_searchable(watch, bars)
        if wait:
            progress = await _until_embedded(watch, bars, progress)
    failures = await watch.failures()
    return IngestResult(
        path=str(path),
        source_id=source.source_id,
        found=sync.found,
        added=sync.added,
        changed=sync.changed,
        removed=sync.removed,
        unchanged=sync.found - sync.added - sync.changed - sync.unreadable,
        failed=progress.failed,
        searchable=progress.searchable + progress.embedded,
        passages=progress.chunks,
        passages_waiting_for_vectors=progress.unembedded_chunks,
        seconds=round(time.monotonic() - watch.started, 2),
        seconds_to_first_searchable=(
            None if watch.first_searchable is None else round(watch.first_searchable, 2)
        ),
        failures=failures,
        next_sync_at=None if planned is None else planned.next_at,
    )


async def _until_searchable(watch: _Watch, bars: Progress) -> tuple[SyncRun, SourceProgress]:
    bar = bars.add_task("files", total=None)
    while True:
        sync, job, progress = await watch.look()
        _show(bars, bar, sync.found - progress.pending, sync.found)
        if job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            raise SyncFailed(_reason(job))
        if sync.finished_at is not None:
            if progress.pending == 0:
                return sync, progress
            if not await watch.at_work(convert_documents.kind):
                _, _, progress = await watch.look()  # the last of them may just have ended
                if progress.pending:
                    raise SyncFailed(_IN_VAIN.format(count=progress.pending, what="files"))
        await asyncio.sleep(_LOOK)


async def _until_embedded(
    watch: _Watch, bars: Progress, progress: SourceProgress
) -> SourceProgress:
    bar = bars.add_task("passages embedded", total=progress.chunks)
    while progress.unembedded_chunks:
        await asyncio.sleep(_LOOK)
        _sync, _job, progress = await watch.look()
        _show(bars, bar, progress.chunks - progress.unembedded_chunks, progress.chunks)
        if progress.unembedded_chunks and not await watch.at_work(embed_documents.kind):
            _, _, progress = await watch.look()  # the last of them may just have ended
            if left := progress.unembedded_chunks:
                raise SyncFailed(_IN_VAIN.format(count=left, what="passages"))
    return progress


def _show(bars: Progress, bar: TaskID, done: int, total: int) -> None:
    bars.update(bar, completed=max(done, 0), total=total or None)


def _reason(job: Job) -> str:
    return job.error.detail if job.error is not None else "The sync was cancelled."


@asynccontextmanager
async def _workers(database: Database) -> AsyncIterator[None]:
    """Make sure that a worker runs: the installation's own, or one for this command."""
    if await live_workers(database):
        yield
        return
    workers = worker_children("--quiet")
    for worker in workers:
        worker.start()

    async def keep() -> None:
        while True:
            await asyncio.sleep(0.5)
            for worker in workers:
                worker.keep_running()

    keeper = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.to_thread(stop_all, workers)
