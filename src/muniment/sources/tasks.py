"""Job handlers of the sources."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from muniment.db import UnitOfWork, load_statements, new_id
from muniment.documents.blobs import BlobStore
from muniment.documents.importing import Source
from muniment.documents.search_index import SearchIndex
from muniment.jobs import JobId, Lane, PermanentFailure, RunningJob, Task, enqueue, task
from muniment.jobs.schedules import Schedule, put_schedule
from muniment.settings import Settings
from muniment.sources.errors import (
    FolderNotFound,
    FolderUnreadable,
    SyncOfSuspended,
    SyncOverQuota,
)
from muniment.sources.library import get_folder
from muniment.sources.sync import FolderSync
from muniment.tenancy.errors import OrganizationSuspended
from muniment.tenancy.quotas.errors import QuotaExceeded
from muniment.tenancy.quotas.usage import FileLimit, read_standing

statements = load_statements("muniment.sources")


class SyncPayload(msgspec.Struct, frozen=True):
    """Which run of which source."""

    source_id: UUID
    run_id: UUID


@task(kind="sources.sync", lane=Lane.FAST, deadline=timedelta(hours=6), max_attempts=5)
async def sync_source(job: RunningJob, payload: SyncPayload) -> None:
    """Bring the documents of a source in step with it."""
    async with job.unit_of_work() as work:
        source, folder = await get_folder(work, payload.source_id)
        standing = await read_standing(work)
    if standing.suspended:
        raise SyncOfSuspended
    settings = job.resource(Settings)
    sync = FolderSync(
        job,
        source,
        folder,
        payload.run_id,
        job.resource(BlobStore),
        job.resource(SearchIndex),  # type: ignore[type-abstract]
        FileLimit.of(standing.tier, settings.tiers, settings.max_upload_bytes),
        settings.tiers,
    )
    try:
        await sync.run()
    except (FolderNotFound, FolderUnreadable) as error:
        raise PermanentFailure(error.detail) from error
    except QuotaExceeded as error:
        raise SyncOverQuota(error.detail) from error
    except OrganizationSuspended as error:
        raise SyncOfSuspended from error


async def start_sync(work: UnitOfWork, source: Source) -> tuple[UUID, JobId]:
    """Begin a sync run of a source in this transaction; return the run and its job."""
    run_id = new_id()
    await statements.insert_run(work, run_id=run_id, source_id=source.source_id)
    job_id = await enqueue(
        work,
        sync_source,
        SyncPayload(source.source_id, run_id),
        dedupe_key=f"sync:{source.source_id}:{run_id}",
        group_id=source.source_id,
    )
    return run_id, job_id


class SourcePayload(msgspec.Struct, frozen=True):
    """Which source."""

    source_id: UUID


@task(kind="sources.begin_sync", lane=Lane.FAST, deadline=timedelta(minutes=1))
async def begin_sync(job: RunningJob, payload: SourcePayload) -> None:
    """Begin a sync run of a source: what its schedule enqueues."""
    async with job.unit_of_work() as work:
        source, _folder = await get_folder(work, payload.source_id)
        await start_sync(work, source)


async def schedule_sync(
    work: UnitOfWork, source: Source, name: str, *, cron: str, timezone: str
) -> Schedule:
    """Have a source synced again and again; see `put_schedule`.

    Raises:
        InvalidSchedule: expression or time zone cannot be understood, or it never comes due.
    """
    return await put_schedule(
        work,
        f"sync {name}",
        begin_sync,
        SourcePayload(source.source_id),
        cron=cron,
        timezone=timezone,
        workspace_id=source.workspace_id,
        group_id=source.source_id,
    )


tasks: list[Task[Any]] = [sync_source, begin_sync]
