"""Reconciliations: find, list, make, rename, delete."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import msgspec

from muniment.db import UnitOfWork, WorkspaceId, load_statements, new_id
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.reconcile.reconciliations.errors import ReconciliationExists, ReconciliationNotFound
from muniment.reconcile.reconciliations.schemas import (
    CreateReconciliation,
    Reconciliation,
    ReconciliationPage,
)
from muniment.tenancy.audit.record import record
from muniment.tenancy.first_start import workspace_of
from muniment.tenancy.permissions import Action, require_in_workspace
from muniment.tenancy.quotas.usage import hold_usage

_statements = load_statements("muniment.reconcile.reconciliations")

_LISTING = "reconciliations"
_OLDEST = UUID(int=0)
_NEWEST = UUID(int=2**128 - 1)


async def find_reconciliation(work: UnitOfWork, reconciliation_id: UUID) -> asyncpg.Record:
    """Return where a reconciliation is and its rules: the first question of whatever reads in it.

    Returns:
        Columns reconciliation_id, workspace_id, name, rules, rules_version.

    Raises:
        ReconciliationNotFound: the organization (or the caller's workspace) has none of this id.
    """
    row: asyncpg.Record | None = await _statements.find_reconciliation(
        work, reconciliation_id=reconciliation_id, workspace_id=work.scope.workspace_id
    )
    if row is None:
        raise ReconciliationNotFound
    return row


async def hold_reconciliation(
    work: UnitOfWork, reconciliation_id: UUID, action: Action
) -> asyncpg.Record:
    """Return the same for whoever changes something of it, and hold it until the commit.

    Uploads, runs and the merge of what a run has found come one after the other by this.

    Raises:
        ReconciliationNotFound: see `find_reconciliation`.
        NotAllowed: the caller's role in its workspace does not allow the action.
    """
    row: asyncpg.Record | None = await _statements.hold_reconciliation(
        work, reconciliation_id=reconciliation_id, workspace_id=work.scope.workspace_id
    )
    if row is None:
        raise ReconciliationNotFound
    require_in_workspace(work.scope, action, WorkspaceId(row["workspace_id"]))
    return row


async def hold_for_job(work: UnitOfWork, reconciliation_id: UUID) -> bool:
    """Hold a reconciliation until the commit, for a job; False when it was deleted."""
    row = await _statements.hold_reconciliation(
        work, reconciliation_id=reconciliation_id, workspace_id=None
    )
    return row is not None


async def show_reconciliation(work: UnitOfWork, reconciliation_id: UUID) -> Reconciliation:
    """Return a reconciliation with its datasets and its last run, in one statement.

    Raises:
        ReconciliationNotFound: see `find_reconciliation`.
    """
    rows = await _statements.list_reconciliations(
        work,
        first=reconciliation_id,
        last=reconciliation_id,
        workspace_id=work.scope.workspace_id,
        limit=1,
    )
    if not rows:
        raise ReconciliationNotFound
    return Reconciliation.from_row(rows[0])


async def list_reconciliations(
    work: UnitOfWork, *, limit: int, cursor: str | None, secret: bytes
) -> ReconciliationPage:
    """Return a page of reconciliations, newest first, in one statement.

    Raises:
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    last = _NEWEST
    if cursor is not None:
        last = UUID(int=decode_cursor(secret, _LISTING, cursor, UUID).int - 1)
    rows = await _statements.list_reconciliations(
        work,
        first=_OLDEST,
        last=last,
        workspace_id=work.scope.workspace_id,
        limit=limit + 1,
    )
    items = [Reconciliation.from_row(row) for row in rows[:limit]]
    more = len(rows) > limit
    following = encode_cursor(secret, _LISTING, items[-1].id) if more else None
    return ReconciliationPage(items, following)


async def create_reconciliation(
    work: UnitOfWork, wanted: CreateReconciliation
) -> tuple[Reconciliation, bool]:
    """Make a reconciliation, or return the one of that name; the flag tells whether it is new.

    Raises:
        WorkspaceNotFound: there is no such workspace.
        NotAllowed: the caller may only read in it.
    """
    asked = None if wanted.workspace_id is None else WorkspaceId(wanted.workspace_id)
    workspace_id = await workspace_of(work, asked)
    require_in_workspace(work.scope, Action.RECONCILIATIONS_WRITE, workspace_id)
    made: UUID | None = await _statements.insert_reconciliation(
        work,
        reconciliation_id=new_id(),
        workspace_id=workspace_id,
        name=wanted.name,
        rules=msgspec.to_builtins(wanted.rules),
    )
    if made is None:
        found = await _statements.reconciliation_of_name(
            work, workspace_id=workspace_id, name=wanted.name
        )
        return await show_reconciliation(work, found), False
    await record(
        work,
        "reconciliation.created",
        target_type="reconciliation",
        target_id=str(made),
        after={"name": wanted.name},
    )
    return await show_reconciliation(work, made), True


async def rename_reconciliation(
    work: UnitOfWork, reconciliation_id: UUID, name: str
) -> Reconciliation:
    """Give a reconciliation another name.

    Raises:
        ReconciliationNotFound, NotAllowed: see `hold_reconciliation`.
        ReconciliationExists: the workspace has another one of this name.
    """
    row = await hold_reconciliation(work, reconciliation_id, Action.RECONCILIATIONS_WRITE)
    if row["name"] != name:
        try:
            await _statements.rename_reconciliation(
                work, reconciliation_id=reconciliation_id, name=name
            )
        except asyncpg.UniqueViolationError as error:
            raise ReconciliationExists from error
        await record(
            work,
            "reconciliation.changed",
            target_type="reconciliation",
            target_id=str(reconciliation_id),
            before={"name": row["name"]},
            after={"name": name},
        )
    return await show_reconciliation(work, reconciliation_id)


async def delete_reconciliation(work: UnitOfWork, reconciliation_id: UUID) -> None:
    """Delete a reconciliation with everything in it; jobs that are under way end without effect.

    Raises:
        ReconciliationNotFound, NotAllowed: see `hold_reconciliation`.
    """
    await hold_usage(work)
    row = await hold_reconciliation(work, reconciliation_id, Action.RECONCILIATIONS_WRITE)
    await _statements.delete_reconciliation(work, reconciliation_id=reconciliation_id)
    await record(
        work,
        "reconciliation.deleted",
        target_type="reconciliation",
        target_id=str(reconciliation_id),
        before={"name": row["name"]},
    )
