"""The job that loads a dataset: what was given to it, or its columns as somebody decided."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec

from muniment.db import UnitOfWork, load_statements
from muniment.documents.blobs import BlobStore
from muniment.documents.errors import BlobNotFound
from muniment.jobs import JobId, Lane, PermanentFailure, RunningJob, enqueue, task
from muniment.jobs.errors import JobCancelled, JobLost
from muniment.jobs.isolated import run_isolated
from muniment.reconcile.columns import Override
from muniment.reconcile.counted import count_written
from muniment.reconcile.datasets.errors import LoadFailed
from muniment.reconcile.datasets.load_process import (
    IDS,
    RECORDS,
    Failure,
    Loaded,
    ToLoad,
    load_files,
    namespace_of,
)
from muniment.reconcile.datasets.records import Target, Written, refresh_matches, write_records
from muniment.reconcile.datasets.sources import opened_parts
from muniment.reconcile.datasets.stored import StoredDataset, storable
from muniment.reconcile.loading.errors import DatasetUnreadable
from muniment.reconcile.reconciliations.library import hold_for_job
from muniment.settings import Settings

_statements = load_statements("muniment.reconcile.datasets")

MOST_PARTS = 1_000
"""Files that wait to be loaded by one job."""


class LoadPayload(msgspec.Struct, frozen=True):
    """The dataset that a job loads."""

    dataset_id: UUID


@task(kind="reconcile.load", lane=Lane.RECONCILE, deadline=timedelta(hours=1), max_attempts=3)
async def load_dataset(job: RunningJob, payload: LoadPayload) -> None:
    """Load what waits for a dataset; if it cannot be, the dataset stays as it was and says why."""
    async with job.unit_of_work() as work:
        row = await _statements.dataset_to_load(work, dataset_id=payload.dataset_id)
        parts = await _statements.waiting_parts(
            work, dataset_id=payload.dataset_id, limit=MOST_PARTS
        )
    if row is None:
        return  # deleted meanwhile
    load = _Load(job, row, parts)
    try:
        await load.run()
    except (LoadFailed, JobCancelled, JobLost):
        raise
    except Exception as error:
        # Whatever it was: no attempt follows, and the dataset must not be loading for ever.
        if isinstance(error, PermanentFailure) or job.attempt >= load_dataset.max_attempts:
            await load.fail(Failure.of(error))
        raise


async def enqueue_load(work: UnitOfWork, dataset_id: UUID, settings: Settings) -> JobId:
    """Enqueue the load of a dataset; one that waits already stands for this one too."""
    return await enqueue(
        work,
        replace(load_dataset, deadline=timedelta(seconds=settings.reconcile_timeout)),
        LoadPayload(dataset_id),
        dedupe_key=str(dataset_id),
        group_id=dataset_id,
    )


class _Load:
    """One attempt to load a dataset."""

    def __init__(self, job: RunningJob, row: asyncpg.Record, parts: list[asyncpg.Record]) -> None:
        self._job = job
        self._row = row
        self._parts = parts
        self._settings = job.resource(Settings)
        self._blobs = job.resource(BlobStore)
        self._replaces = bool(parts) and parts[0]["replaces"]
        self._first_part = parts[0]["ordinal"] if self._replaces else 0
        self._last_part = parts[-1]["ordinal"] if parts else 0

    async def run(self) -> None:
        if not self._parts and self._row["originals_hash"] is None:
            return  # what was given was taken back
        with tempfile.TemporaryDirectory(prefix="muniment-load-") as name:
            folder = Path(name)
            loaded = await self._loaded(folder)
            if loaded.failure is not None:
                await self.fail(loaded.failure)
                raise LoadFailed(f"{loaded.failure.code}: {loaded.failure.detail}")
            assert loaded.dataset is not None
            await self._keep(folder, loaded, loaded.dataset)
        async with self._job.unit_of_work() as work:
            await count_written(work)
        if self._first_part > 1:
            # By itself: it holds what the organization uses, for which all imports would wait.
            async with self._job.unit_of_work() as work:
                await _statements.drop_replaced_parts(
                    work, dataset_id=self._row["dataset_id"], first=self._first_part
                )

    async def _loaded(self, folder: Path) -> Loaded:
        row, org_id = self._row, self._job.scope.org_id
        async with AsyncExitStack() as stack:
            before = None
            if not self._replaces and row["originals_hash"] is not None:
                originals = await stack.enter_async_context(
                    self._blobs.as_file(org_id, row["originals_hash"])
                )
                before = StoredDataset(row["name"], row["row_count"], [], [], originals, originals)
            try:
                given = await opened_parts(self._job, self._parts, folder, stack)
            except (DatasetUnreadable, BlobNotFound) as error:
                return Loaded(Failure(error.code, error.detail, storable(error.errors)))
            namespace = namespace_of(row["reconciliation_id"], row["side"])
            return await run_isolated(
                self._job,
                load_files,
                ToLoad(
                    name=row["name"],
                    given=given,
                    before=before,
                    overrides=msgspec.convert(row["overrides"], dict[str, Override]),
                    folder=folder,
                    namespace=None if row["side"] == "evidence" else namespace,
                    key_column=row["key_column"],
                    key_known=row["version"] > 0,
                    max_bytes=self._settings.reconcile_max_bytes,
                ),
                memory_mb=self._settings.reconcile_memory_mb,
                memory_setting="MUNIMENT_RECONCILE_MEMORY_MB",
            )

    async def _keep(self, folder: Path, loaded: Loaded, dataset: StoredDataset) -> None:
        org_id, row = self._job.scope.org_id, self._row
        originals, _ = await asyncio.to_thread(self._blobs.put_file, org_id, dataset.originals)
        cleaned, _ = await asyncio.to_thread(self._blobs.put_file, org_id, dataset.cleaned)
        async with self._job.unit_of_work() as work:
            # Held first, as by everybody else who changes matches or records.
            if not await hold_for_job(work, row["reconciliation_id"]):
                return
            version = await _statements.hold_dataset(work, dataset_id=row["dataset_id"])
            if version is None:
                return
            written = Written(0, 0, 0)
            if row["side"] != "evidence":
                written = await self._write(work, folder, version + 1, dataset.rows)
                await refresh_matches(work, row["reconciliation_id"])
            changed = (
                written.changed > 0
                or written.removed > 0
                or row["side"] == "evidence"
                or _read_as(row["columns"]) != _read_as(dataset.columns)
            )
            await _statements.parts_are_loaded(
                work,
                dataset_id=row["dataset_id"],
                first=self._first_part,
                last=self._last_part,
            )
            await _statements.finish_load(
                work,
                dataset_id=row["dataset_id"],
                last=self._last_part,
                columns=dataset.columns,
                notes=dataset.notes,
                preview=loaded.preview,
                key_column=loaded.key_column,
                row_count=dataset.rows,
                version=version + 1,
                originals_hash=originals,
                cleaned_hash=cleaned,
                changed=changed,
            )

    async def _write(self, work: UnitOfWork, folder: Path, version: int, rows: int) -> Written:
        row = self._row
        target = Target(row["reconciliation_id"], row["dataset_id"], row["side"], version)

        async def written(done: int) -> None:
            await self._job.progress(done, rows, "rows")

        return await write_records(work, target, folder / IDS, folder / RECORDS, written)

    async def fail(self, failure: Failure) -> None:
        """Tell why the dataset could not be loaded, and forget what cannot be."""
        dataset_id = self._row["dataset_id"]
        async with self._job.unit_of_work() as work:
            # First, since it holds what the organization uses, as uploads do before all else.
            await _statements.parts_are_bad(work, dataset_id=dataset_id, last=self._last_part)
            await _statements.fail_load(
                work,
                dataset_id=dataset_id,
                error_code=failure.code,
                error_detail=storable(failure.detail),
                faults=failure.faults,
            )


def _read_as(columns: list[dict[str, object]]) -> list[tuple[object, ...]]:
    """Return what decides how values are compared: if it changes, all records have changed."""
    names = ("name", "type", "role", "scale", "currency", "unit", "date_format", "override")
    return [tuple(str(column.get(name)) for name in names) for column in columns]


tasks = [load_dataset]
