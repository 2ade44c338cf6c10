"""The datasets of a reconciliation: listed, shown, previewed, deleted."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import msgspec

from muniment.db import UnitOfWork, WorkspaceId, load_statements
from muniment.reconcile.datasets.errors import DatasetNotFound, DatasetNotLoaded
from muniment.reconcile.datasets.records import refresh_matches
from muniment.reconcile.datasets.schemas import DatasetDetail, DatasetList, DatasetShown, Rows
from muniment.reconcile.reconciliations.library import find_reconciliation, hold_reconciliation
from muniment.reconcile.reconciliations.schemas import Side
from muniment.tenancy.audit.record import record
from muniment.tenancy.permissions import Action, require_in_workspace
from muniment.tenancy.quotas.usage import hold_usage

_statements = load_statements("muniment.reconcile.datasets")


async def list_datasets(work: UnitOfWork, reconciliation_id: UUID) -> DatasetList:
    """Return the datasets of a reconciliation that the caller has found, in one statement."""
    rows = await _statements.list_datasets(work, reconciliation_id=reconciliation_id)
    return DatasetList([DatasetShown.from_row(row) for row in rows])


async def find_dataset(work: UnitOfWork, reconciliation_id: UUID, side: Side) -> asyncpg.Record:
    """Return the row of a dataset of a reconciliation that the caller has found.

    Raises:
        DatasetNotFound: there is none on this side.
    """
    row: asyncpg.Record | None = await _statements.get_dataset(
        work, reconciliation_id=reconciliation_id, side=side.value
    )
    if row is None:
        raise DatasetNotFound
    return row


async def page_of_datasets(work: UnitOfWork, reconciliation_id: UUID) -> DatasetList:
    """Return the datasets of a reconciliation, in two statements.

    Raises:
        ReconciliationNotFound: there is no such reconciliation.
    """
    await find_reconciliation(work, reconciliation_id)
    return await list_datasets(work, reconciliation_id)


async def require_writable(work: UnitOfWork, reconciliation_id: UUID) -> None:
    """Let the caller pass if it may give datasets to a reconciliation.

    Raises:
        ReconciliationNotFound: there is none.
        NotAllowed: the caller may only read in its workspace.
    """
    row = await find_reconciliation(work, reconciliation_id)
    require_in_workspace(work.scope, Action.RECONCILIATIONS_WRITE, WorkspaceId(row["workspace_id"]))


async def show_dataset(work: UnitOfWork, reconciliation_id: UUID, side: Side) -> DatasetDetail:
    """Return a dataset with its columns, in two statements.

    Raises:
        ReconciliationNotFound, DatasetNotFound: there is no such reconciliation or dataset.
    """
    await find_reconciliation(work, reconciliation_id)
    return DatasetDetail.from_row(await find_dataset(work, reconciliation_id, side))


async def first_rows(work: UnitOfWork, reconciliation_id: UUID, side: Side) -> Rows:
    """Return the first records of a dataset, in two statements.

    Raises:
        ReconciliationNotFound, DatasetNotFound: there is no such reconciliation or dataset.
        DatasetNotLoaded: it has never been loaded.
    """
    await find_reconciliation(work, reconciliation_id)
    row = await _statements.preview_of_dataset(
        work, reconciliation_id=reconciliation_id, side=side.value
    )
    if row is None:
        raise DatasetNotFound
    if not row["version"]:
        raise DatasetNotLoaded
    return msgspec.convert(row["preview"], Rows)


async def delete_dataset(work: UnitOfWork, reconciliation_id: UUID, side: Side) -> None:
    """Delete a dataset with its records and the matches of these that nobody decided.

    Decisions stay: they count again when the same records are loaded again.

    Raises:
        ReconciliationNotFound, NotAllowed: see `hold_reconciliation`.
        DatasetNotFound: there is no dataset on this side.
    """
    await hold_usage(work)
    await hold_reconciliation(work, reconciliation_id, Action.RECONCILIATIONS_WRITE)
    row = await _statements.delete_dataset(
        work, reconciliation_id=reconciliation_id, side=side.value
    )
    if row is None:
        raise DatasetNotFound
    if side is not Side.EVIDENCE:
        await _statements.delete_undecided_matches(work, reconciliation_id=reconciliation_id)
        await refresh_matches(work, reconciliation_id)
    await record(
        work,
        "dataset.deleted",
        target_type="dataset",
        target_id=str(row["dataset_id"]),
        before={
            "reconciliation_id": str(reconciliation_id),
            "side": side.value,
            "name": row["name"],
        },
    )
