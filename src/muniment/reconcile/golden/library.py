"""Golden records: list them, show one, set values by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from muniment.db import UnitOfWork, load_statements
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.reconcile.golden.columns import GoldenColumn, golden_columns
from muniment.reconcile.golden.errors import GoldenRecordNotFound, InvalidGoldenValues
from muniment.reconcile.golden.schemas import (
    ChangeGoldenRecord,
    GoldenRecord,
    GoldenRecordPage,
    Member,
)
from muniment.reconcile.golden.survivorship import Held, Survivors
from muniment.reconcile.reconciliations.errors import ReconciliationNotFound
from muniment.reconcile.reconciliations.library import hold_reconciliation
from muniment.reconcile.review.schemas import Side
from muniment.reconcile.rules import Rules
from muniment.tenancy.audit.record import record
from muniment.tenancy.permissions import Action

_statements = load_statements("muniment.reconcile.golden")

_LISTING = "golden"
_FIRST = UUID(int=0)
_QUICK = 100
"""Records that golden records are made of in a millisecond or two, in the event loop."""
_MEMBERS = 200
"""Records of a cluster that are looked at: what is larger is a fault of the rules."""


class Setting(NamedTuple):
    """What golden records of a reconciliation are made by."""

    name: str
    columns: list[GoldenColumn]
    survivors: Survivors

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in their order."""
        return [column.name for column in self.columns]


async def setting_of(work: UnitOfWork, reconciliation_id: UUID) -> Setting:
    """Return rules and columns, in one statement.

    Raises:
        ReconciliationNotFound: the organization (or the caller's workspace) has none such.
    """
    row = await _statements.setting(
        work, reconciliation_id=reconciliation_id, workspace_id=work.scope.workspace_id
    )
    if row is None:
        raise ReconciliationNotFound
    columns = golden_columns(row["columns"], row["compared"])
    rules = msgspec.convert(row["rules"], Rules).survivorship
    return Setting(row["name"], columns, Survivors(columns, rules))


async def list_golden_records(
    work: UnitOfWork, reconciliation_id: UUID, *, limit: int, cursor: str | None, secret: bytes
) -> GoldenRecordPage:
    """Return a page of golden records, in three statements.

    Raises:
        ReconciliationNotFound: see `setting_of`.
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    setting = await setting_of(work, reconciliation_id)
    after = _FIRST if cursor is None else decode_cursor(secret, _LISTING, cursor, UUID)
    found = await golden_records_after(work, reconciliation_id, setting, after, limit + 1)
    items = found[:limit]
    more = len(found) > limit
    following = encode_cursor(secret, _LISTING, items[-1].cluster_id) if more else None
    return GoldenRecordPage(items, following)


async def golden_records_after(
    work: UnitOfWork, reconciliation_id: UUID, setting: Setting, after: UUID, limit: int
) -> list[GoldenRecord]:
    """Return the golden records after a cluster, in two statements."""
    rows = await _statements.list_members(
        work, reconciliation_id=reconciliation_id, after=after, limit=limit, members=_MEMBERS
    )
    return await _made(work, reconciliation_id, setting, rows)


async def find_golden_record(
    work: UnitOfWork, reconciliation_id: UUID, cluster_id: UUID
) -> GoldenRecord:
    """Return one golden record, in three statements.

    Raises:
        ReconciliationNotFound: see `setting_of`.
        GoldenRecordNotFound: it has no such cluster.
    """
    setting = await setting_of(work, reconciliation_id)
    return await _find(work, reconciliation_id, setting, cluster_id)


async def change_golden_record(
    work: UnitOfWork, reconciliation_id: UUID, cluster_id: UUID, change: ChangeGoldenRecord
) -> GoldenRecord:
    """Set values by hand, or leave them to the rules again, and return the golden record.

    Raises:
        ReconciliationNotFound: see `setting_of`.
        NotAllowed: the caller may only read in its workspace.
        GoldenRecordNotFound: it has no such cluster.
        InvalidGoldenValues: it has no such column.
    """
    # Clusters, whose ids the values go by, stay as they are until the commit.
    await hold_reconciliation(work, reconciliation_id, Action.DECISIONS_WRITE)
    setting = await setting_of(work, reconciliation_id)
    before = await _find(work, reconciliation_id, setting, cluster_id)
    _require_columns(setting, change)
    names = [name for name in change.values if name not in change.reset]
    if change.reset:
        await _statements.remove_values(
            work, reconciliation_id=reconciliation_id, cluster_id=cluster_id, names=change.reset
        )
    if names:
        await _statements.put_values(
            work,
            reconciliation_id=reconciliation_id,
            cluster_id=cluster_id,
            names=names,
            values=[change.values[name] for name in names],
            actor=work.scope.actor,
        )
    after = await _find(work, reconciliation_id, setting, cluster_id)
    if before != after:
        concerned = [*names, *change.reset]
        await record(
            work,
            "golden_record.changed",
            target_type="golden_record",
            target_id=str(cluster_id),
            before=_told(before, concerned),
            after=_told(after, concerned),
        )
    return after


async def _find(
    work: UnitOfWork, reconciliation_id: UUID, setting: Setting, cluster_id: UUID
) -> GoldenRecord:
    rows = await _statements.members_of_cluster(
        work, reconciliation_id=reconciliation_id, cluster_id=cluster_id, members=_MEMBERS
    )
    if not rows:
        raise GoldenRecordNotFound
    (found,) = await _made(work, reconciliation_id, setting, rows)
    return found


async def _made(
    work: UnitOfWork, reconciliation_id: UUID, setting: Setting, rows: Sequence[asyncpg.Record]
) -> list[GoldenRecord]:
    clusters = {
        cluster_id: [Held(*list(row.values())[1:]) for row in members]
        for cluster_id, members in groupby(rows, key=lambda row: row["cluster_id"])
    }
    values = await _statements.list_values(
        work, reconciliation_id=reconciliation_id, cluster_ids=list(clusters)
    )
    by_hand: dict[UUID, dict[str, str | None]] = {}
    for row in values:
        by_hand.setdefault(row["cluster_id"], {})[row["column_name"]] = row["value"]

    def make() -> list[GoldenRecord]:
        return [
            _golden(setting, cluster_id, members, by_hand.get(cluster_id, {}))
            for cluster_id, members in clusters.items()
        ]

    return make() if len(rows) <= _QUICK else await asyncio.to_thread(make)


def _golden(
    setting: Setting,
    cluster_id: UUID,
    members: Sequence[Held],
    by_hand: Mapping[str, str | None],
) -> GoldenRecord:
    survivors = setting.survivors.of(members)
    values: dict[str, str | None] = {}
    for name in setting.column_names:
        survivor = survivors.get(name)
        values[name] = by_hand.get(name, None if survivor is None else survivor.value)
    return GoldenRecord(
        cluster_id,
        values,
        {name: one.record_id for name, one in survivors.items() if name not in by_hand},
        # A column that was set may be gone since the dataset was replaced.
        [name for name in setting.column_names if name in by_hand],
        [Member(one.record_id, Side(one.side), one.row, one.identifier) for one in members],
    )


def _require_columns(setting: Setting, change: ChangeGoldenRecord) -> None:
    known = set(setting.column_names)
    faults = [
        {"pointer": f"#/values/{name}", "detail": "There is no such column."}
        for name in change.values
        if name not in known
    ]
    faults += [
        {"pointer": f"#/reset/{at}", "detail": "There is no such column."}
        for at, name in enumerate(change.reset)
        if name not in known
    ]
    if faults:
        raise InvalidGoldenValues(errors=faults)


def _told(golden: GoldenRecord, names: Sequence[str]) -> dict[str, Any]:
    return {name: golden.values[name] for name in names}
