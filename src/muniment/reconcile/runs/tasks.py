"""The job that does a run: compares the datasets, and merges what it found into the matches."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from muniment.db import UnitOfWork, load_statements
from muniment.documents.blobs import BlobStore
from muniment.jobs import JobId, Lane, PermanentFailure, RunningJob, enqueue, task
from muniment.jobs.errors import JobCancelled, JobLost
from muniment.jobs.isolated import run_isolated
from muniment.reconcile.counted import count_written
from muniment.reconcile.datasets.load_process import Failure
from muniment.reconcile.datasets.stored import StoredDataset, storable
from muniment.reconcile.matching.splink_model.backends import Backend
from muniment.reconcile.reconciliations.library import hold_for_job
from muniment.reconcile.reconciliations.schemas import RunMode
from muniment.reconcile.rules import Rules
from muniment.reconcile.runs.compare_process import (
    MATCHES,
    MODEL,
    Compared,
    ToCompare,
    compare,
)
from muniment.reconcile.runs.errors import DatasetChanged, RunFailed
from muniment.reconcile.runs.merge import merge_clusters, merge_matches
from muniment.reconcile.runs.plan_process import ToPlan, plan
from muniment.reconcile.runs.schemas import RunCounts
from muniment.reconcile.runs.snapshot import Since, write_ids, write_settled
from muniment.reconcile.runs.suitability import why_not_incremental
from muniment.settings import Settings

_statements = load_statements("muniment.reconcile.runs")

_IDS = "ids-{}"
_SETTLED = "settled"


class RunPayload(msgspec.Struct, frozen=True):
    """The run that a job does."""

    reconciliation_id: UUID
    run_id: UUID


@task(kind="reconcile.run", lane=Lane.RECONCILE, deadline=timedelta(hours=1), max_attempts=3)
async def run_reconciliation(job: RunningJob, payload: RunPayload) -> None:
    """Do a run; matches are those of before, or all of the new ones."""
    run = _Run(job, payload)
    try:
        await run.do()
    except (JobCancelled, JobLost):
        raise
    except Exception as error:
        # Whatever it was: no attempt follows, and the run must tell why.
        if isinstance(error, PermanentFailure) or job.attempt >= run_reconciliation.max_attempts:
            await run.fail(error)
        raise


async def enqueue_run(
    work: UnitOfWork, reconciliation_id: UUID, run_id: UUID, mode: RunMode, settings: Settings
) -> JobId:
    """Enqueue a run; the id is that of another job if a run waits already."""
    kind = "plan" if mode == "plan" else "run"
    return await enqueue(
        work,
        replace(run_reconciliation, deadline=timedelta(seconds=settings.reconcile_timeout)),
        RunPayload(reconciliation_id, run_id),
        dedupe_key=f"{reconciliation_id}:{kind}",
        group_id=reconciliation_id,
    )


class _Run:
    """One attempt at a run."""

    def __init__(self, job: RunningJob, payload: RunPayload) -> None:
        self._job = job
        self._reconciliation_id = payload.reconciliation_id
        self._run_id = payload.run_id
        self._settings = job.resource(Settings)
        self._blobs = job.resource(BlobStore)
        self._mode: RunMode = "full"
        self._rules: dict[str, Any] = {}
        self._versions: dict[str, int] = {}
        self._datasets: dict[str, asyncpg.Record] = {}
        self._notes: list[str] = []

    async def do(self) -> None:
        with tempfile.TemporaryDirectory(prefix="muniment-run-") as name:
            folder = Path(name)
            if not await self._begin(folder):
                return
            async with AsyncExitStack() as stack:
                stored = {
                    side: await self._stored(row, stack) for side, row in self._datasets.items()
                }
                if self._mode == "plan":
                    await self._plan(stored)
                    return
                compared = await self._compare(folder, stored)
            if compared.failure is not None:
                raise RunFailed(f"{compared.failure.code}: {compared.failure.detail}")
            await self._keep(folder, compared)

    async def _begin(self, folder: Path) -> bool:
        """Read all that the run starts from as it is at one moment; False if there is no run."""
        async with self._job.unit_of_work() as work:
            # Held, so that what is read fits together: no load and no merge comes between.
            if not await hold_for_job(work, self._reconciliation_id):
                return False
            run = await _statements.run_to_do(
                work, reconciliation_id=self._reconciliation_id, run_id=self._run_id
            )
            if run is None:
                return False
            rows = await _statements.datasets_to_compare(
                work, reconciliation_id=self._reconciliation_id
            )
            self._mode, self._rules = run["mode"], run["rules"]
            self._datasets = {row["side"]: row for row in rows}
            _require_loaded(self._datasets)
            self._versions = {row["side"]: row["version"] for row in rows}
            self._versions["rules"] = run["rules_version"]
            if self._mode != "plan":
                since = await self._since(work, run["rules_version"], rows)
                await self._snapshot(work, folder, since)
        return True

    async def _since(
        self, work: UnitOfWork, rules_version: int, rows: list[asyncpg.Record]
    ) -> Since | None:
        if self._mode != "incremental":
            return None
        last = await _statements.last_comparison(work, reconciliation_id=self._reconciliation_id)
        why = why_not_incremental(last, rows, rules_version)
        if why is not None:
            self._mode = "full"
            self._notes.append(f"All records were compared. {why}")
            return None
        async with self._blobs.as_file(self._job.scope.org_id, last["model_hash"]) as path:
            model = await asyncio.to_thread(path.read_bytes)
        return Since(last["versions"], model)

    async def _snapshot(self, work: UnitOfWork, folder: Path, since: Since | None) -> None:
        new: dict[str, list[int]] = {}
        for side in ("left", "right"):
            if side in self._datasets:
                new[side] = await write_ids(
                    work,
                    self._datasets[side]["dataset_id"],
                    folder / _IDS.format(side),
                    version=0 if since is None else since.versions[side],
                )
        await write_settled(work, self._reconciliation_id, folder / _SETTLED, since=since, new=new)

    async def _stored(self, row: asyncpg.Record, stack: AsyncExitStack) -> StoredDataset:
        org_id = self._job.scope.org_id
        originals = self._blobs.as_file(org_id, row["originals_hash"])
        cleaned = self._blobs.as_file(org_id, row["cleaned_hash"])
        return StoredDataset(
            row["name"],
            row["row_count"],
            row["notes"],
            row["columns"],
            await stack.enter_async_context(originals),
            await stack.enter_async_context(cleaned),
        )

    async def _compare(self, folder: Path, stored: dict[str, StoredDataset]) -> Compared:
        return await run_isolated(
            self._job,
            compare,
            ToCompare(
                self._reconciliation_id,
                stored["left"],
                stored.get("right"),
                stored.get("evidence"),
                msgspec.convert(self._rules, Rules),
                folder / _SETTLED,
                folder / _IDS.format("left"),
                folder / _IDS.format("right") if "right" in stored else None,
                folder,
                Backend(self._settings.reconcile_splink_backend),
                # The rest is for the tables and for what is made of Splink's answers.
                self._settings.reconcile_memory_mb // 2,
            ),
            memory_mb=self._settings.reconcile_memory_mb,
            memory_setting="MUNIMENT_RECONCILE_MEMORY_MB",
        )

    async def _plan(self, stored: dict[str, StoredDataset]) -> None:
        """Tell what would be compared, and at what cost."""
        planned = await run_isolated(
            self._job,
            plan,
            ToPlan(stored["left"], stored.get("right"), msgspec.convert(self._rules, Rules)),
            memory_mb=self._settings.reconcile_memory_mb,
            memory_setting="MUNIMENT_RECONCILE_MEMORY_MB",
        )
        if planned.failure is not None:
            raise RunFailed(f"{planned.failure.code}: {planned.failure.detail}")
        async with self._job.unit_of_work() as work:
            if await hold_for_job(work, self._reconciliation_id):
                await self._finish(work, Compared(), RunCounts(), plan=planned.plan)

    async def _keep(self, folder: Path, compared: Compared) -> None:
        model_hash = None
        if compared.has_model:
            model_hash, _ = await asyncio.to_thread(
                self._blobs.put_file, self._job.scope.org_id, folder / MODEL
            )
        datasets = {
            side: row["dataset_id"] for side, row in self._datasets.items() if side != "evidence"
        }
        async with self._job.unit_of_work() as work:
            if not await hold_for_job(work, self._reconciliation_id):
                return
            await self._require_unchanged(work)
            counts = await merge_matches(
                work, self._reconciliation_id, self._run_id, folder / MATCHES, datasets
            )
            await merge_clusters(work, self._reconciliation_id, datasets)
            await self._finish(work, compared, counts, model_hash=model_hash)
        async with self._job.unit_of_work() as work:
            await count_written(work)

    async def _require_unchanged(self, work: UnitOfWork) -> None:
        rows = await _statements.datasets_to_compare(
            work, reconciliation_id=self._reconciliation_id
        )
        now = {row["side"]: (row["dataset_id"], row["version"]) for row in rows}
        before = {side: (row["dataset_id"], row["version"]) for side, row in self._datasets.items()}
        if now != before:
            raise DatasetChanged

    async def _finish(
        self,
        work: UnitOfWork,
        compared: Compared,
        counts: RunCounts,
        *,
        plan: dict[str, Any] | None = None,
        model_hash: bytes | None = None,
    ) -> None:
        await _statements.finish_run(
            work,
            reconciliation_id=self._reconciliation_id,
            run_id=self._run_id,
            rules=self._rules,
            versions=self._versions,
            kind=compared.kind,
            threshold=compared.threshold,
            compared=compared.compared,
            offsets=compared.offsets,
            notes=[*self._notes, *compared.notes],
            counts=msgspec.to_builtins(counts),
            plan=plan,
            model_hash=model_hash,
            mode=self._mode,
        )

    async def fail(self, error: Exception) -> None:
        """Tell why the run failed."""
        failure = Failure.of(error)
        async with self._job.unit_of_work() as work:
            await _statements.fail_run(
                work,
                reconciliation_id=self._reconciliation_id,
                run_id=self._run_id,
                error_code=failure.code,
                error_detail=storable(failure.detail),
            )


def _require_loaded(datasets: dict[str, asyncpg.Record]) -> None:
    """Refuse what was changed between the request and now."""
    if "left" not in datasets or any(row["version"] == 0 for row in datasets.values()):
        raise RunFailed("A dataset was deleted, or is being loaded for the first time.")


tasks = [run_reconciliation]
