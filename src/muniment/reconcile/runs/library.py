"""Runs: started, listed, shown."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import asyncpg

from muniment.db import UnitOfWork, load_statements, new_id
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.jobs.listing import find_job
from muniment.reconcile.reconciliations.library import find_reconciliation, hold_reconciliation
from muniment.reconcile.reconciliations.schemas import DatasetStatus, RunMode
from muniment.reconcile.runs.errors import DatasetsNotReady, IncrementalNotPossible, RunNotFound
from muniment.reconcile.runs.schemas import RunDetail, RunPage, RunShown, Started, WantedMode
from muniment.reconcile.runs.suitability import why_not_incremental
from muniment.reconcile.runs.tasks import enqueue_run
from muniment.settings import Settings
from muniment.tenancy.permissions import Action

_statements = load_statements("muniment.reconcile.runs")

_NEWEST = UUID(int=2**128 - 1)


async def start_run(
    work: UnitOfWork, reconciliation_id: UUID, wanted: WantedMode, settings: Settings
) -> Started:
    """Note a run and enqueue the job that does it; one that waits already stands for this one too.

    Raises:
        ReconciliationNotFound, NotAllowed: see `hold_reconciliation`.
        DatasetsNotReady: a dataset is missing, is being loaded, or could not be.
        IncrementalNotPossible: more has changed than that records were added.
    """
    row = await hold_reconciliation(work, reconciliation_id, Action.RECONCILIATIONS_WRITE)
    datasets = await _statements.datasets_to_compare(work, reconciliation_id=reconciliation_id)
    _require_ready({dataset["side"]: dataset for dataset in datasets})
    mode: RunMode
    if wanted is WantedMode.PLAN:
        mode = "plan"
    elif wanted is WantedMode.FULL:
        mode = "full"
    else:
        last = await _statements.last_comparison(work, reconciliation_id=reconciliation_id)
        why = why_not_incremental(last, datasets, row["rules_version"])
        if why is not None and wanted is WantedMode.INCREMENTAL:
            raise IncrementalNotPossible(f"{why} Ask for a full run.")
        mode = "incremental" if why is None else "full"
    run_id = new_id()
    job_id = await enqueue_run(work, reconciliation_id, run_id, mode, settings)
    waiting: UUID | None = await _statements.run_of_job(
        work, reconciliation_id=reconciliation_id, job_id=job_id, mode=mode
    )
    if waiting is None:
        await _statements.insert_run(
            work, run_id=run_id, reconciliation_id=reconciliation_id, job_id=job_id, mode=mode
        )
    shown = await _statements.get_run(
        work, reconciliation_id=reconciliation_id, run_id=waiting or run_id
    )
    return Started(await find_job(work, job_id), RunShown.from_row(shown))


def _require_ready(datasets: Mapping[str, asyncpg.Record]) -> None:
    if "left" not in datasets:
        raise DatasetsNotReady("There is no dataset on the side left.")
    for side, dataset in datasets.items():
        if dataset["status"] == DatasetStatus.LOADING:
            raise DatasetsNotReady(f"The dataset on the side {side} is being loaded.")
        if dataset["status"] == DatasetStatus.FAILED:
            raise DatasetsNotReady(
                f"The dataset on the side {side} could not be loaded: see what is wrong with it, "
                "and give it again."
            )


async def list_runs(
    work: UnitOfWork, reconciliation_id: UUID, *, limit: int, cursor: str | None, secret: bytes
) -> RunPage:
    """Return a page of runs, newest first, in two statements.

    Raises:
        ReconciliationNotFound: there is no such reconciliation.
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    listing = f"runs:{reconciliation_id}"
    before = _NEWEST if cursor is None else decode_cursor(secret, listing, cursor, UUID)
    await find_reconciliation(work, reconciliation_id)
    rows = await _statements.list_runs(
        work, reconciliation_id=reconciliation_id, before=before, limit=limit + 1
    )
    items = [RunShown.from_row(row) for row in rows[:limit]]
    more = len(rows) > limit
    return RunPage(items, encode_cursor(secret, listing, items[-1].id) if more else None)


async def show_run(work: UnitOfWork, reconciliation_id: UUID, run_id: UUID) -> RunDetail:
    """Return a run with what it decided on the way, in two statements.

    Raises:
        ReconciliationNotFound, RunNotFound: there is no such reconciliation or run.
    """
    await find_reconciliation(work, reconciliation_id)
    row = await _statements.get_run(work, reconciliation_id=reconciliation_id, run_id=run_id)
    if row is None:
        raise RunNotFound
    return RunDetail.from_row(row)
