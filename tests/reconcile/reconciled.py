"""A reconciliation as runs leave it, written straight into the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from muniment.db import Database, TenantScope, UnitOfWork, new_id
from muniment.reconcile.match_ids import match_id

EVIDENCE = [
    {
        "field_left": "name",
        "field_right": "party",
        "left": "Müller GmbH",
        "right": "Mueller",
        "agreement": 0.9,
        "weight": 6.1,
    }
]


@dataclass
class Entry:
    """A record to be."""

    values: Mapping[str, str] = field(default_factory=dict)
    identifier: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    dated: date | None = None


@dataclass
class Found:
    """A match to be, between 1-based rows; of one dataset both of the left one."""

    left: int
    right: int
    status: str = "matched"
    confidence: float = 0.9
    stage: str = "probabilistic"
    amount: Decimal | None = None


@dataclass
class Reconciled:
    """Ids of what was made."""

    id: UUID
    workspace_id: UUID
    datasets: dict[str, UUID] = field(default_factory=dict)
    records: dict[str, list[UUID]] = field(default_factory=dict)
    """By side, in the order of rows."""
    matches: list[UUID] = field(default_factory=list)

    def record(self, side: str, row: int) -> UUID:
        return self.records[side][row - 1]


async def make_reconciled(
    database: Database,
    scope: TenantScope,
    left: Sequence[Entry] | int,
    right: Sequence[Entry] | int | None,
    found: Sequence[Found],
    **changes: Any,
) -> Reconciled:
    """Make a reconciliation of so many records, with the matches of a run."""
    async with database.unit_of_work(scope) as work:
        return await write_reconciled(work, left, right, found, **changes)


async def write_reconciled(
    work: UnitOfWork,
    left: Sequence[Entry] | int,
    right: Sequence[Entry] | int | None,
    found: Sequence[Found],
    *,
    kind: str = "linkage",
    compared: Sequence[tuple[str, str]] = (),
    offsets: Sequence[Mapping[str, Any]] = (),
    rules: Mapping[str, Any] | None = None,
    columns: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    workspace_id: UUID | None = None,
) -> Reconciled:
    """The same in a transaction; `columns` are those of the datasets, by side."""
    run = work.connection
    workspace_id = workspace_id or await run.fetchval("SELECT workspace_id FROM workspaces")
    made = Reconciled(new_id(), workspace_id)
    await run.execute(
        "INSERT INTO reconciliations (org_id, reconciliation_id, workspace_id, name, rules)"
        " VALUES (current_org_id(), $1, $2, $3, $4)",
        made.id,
        workspace_id,
        f"reconciliation {made.id}",
        rules or {},
    )
    for side, entries in (("left", left), ("right", right)):
        if entries is None:
            continue
        given = (
            [Entry({"name": f"{side} {n}"}, f"{side[0].upper()}{n}") for n in range(1, entries + 1)]
            if isinstance(entries, int)
            else entries
        )
        await _write_dataset(work, made, side, given, (columns or {}).get(side))
    await _write_run(work, made, kind, compared, offsets)
    await _write_matches(work, made, found)
    await _join(work, made)
    return made


async def _write_dataset(
    work: UnitOfWork,
    made: Reconciled,
    side: str,
    entries: Sequence[Entry],
    columns: Sequence[Mapping[str, Any]] | None,
) -> None:
    dataset_id = made.datasets[side] = new_id()
    made.records[side] = [uuid4() for _ in entries]
    if columns is None:
        names = dict.fromkeys(name for entry in entries for name in entry.values)
        columns = [{"name": name, "role": "name", "type": "text"} for name in names]
    await work.connection.execute(
        "INSERT INTO datasets (org_id, dataset_id, reconciliation_id, side, name, status,"
        " columns, row_count, version, originals_hash, cleaned_hash)"
        " VALUES (current_org_id(), $1, $2, $3, $3, 'ready', $4, $5, 1, $6, $6)",
        dataset_id,
        made.id,
        side,
        columns,
        len(entries),
        bytes(32),
    )
    await work.connection.execute(
        "INSERT INTO records (org_id, reconciliation_id, dataset_id, record_id, side, row,"
        " identifier, original, amount, currency, dated, cluster_id, added_version,"
        " changed_version)"
        " SELECT current_org_id(), $1, $2, record_id, $3, row, identifier, original, amount,"
        " currency, dated, gen_random_uuid(), 1, 1"
        " FROM unnest($4::uuid[], $5::text[], $6::jsonb[], $7::numeric[], $8::text[], $9::date[])"
        " WITH ORDINALITY"
        " AS entry (record_id, identifier, original, amount, currency, dated, row)",
        made.id,
        dataset_id,
        side,
        made.records[side],
        [entry.identifier for entry in entries],
        [dict(entry.values) for entry in entries],
        [entry.amount for entry in entries],
        [entry.currency for entry in entries],
        [entry.dated for entry in entries],
    )


async def _write_run(
    work: UnitOfWork,
    made: Reconciled,
    kind: str,
    compared: Sequence[tuple[str, str]],
    offsets: Sequence[Mapping[str, Any]],
) -> None:
    await work.connection.execute(
        "INSERT INTO reconciliation_runs (org_id, run_id, reconciliation_id, mode, status, kind,"
        " compared, offsets, finished_at)"
        " VALUES (current_org_id(), $1, $2, 'full', 'succeeded', $3, $4, $5, now())",
        new_id(),
        made.id,
        kind,
        [{"left": left, "right": right, "role": "name"} for left, right in compared],
        [dict(offset) for offset in offsets],
    )


async def _write_matches(work: UnitOfWork, made: Reconciled, found: Sequence[Found]) -> None:
    other = "right" if "right" in made.records else "left"
    left = [made.record("left", each.left) for each in found]
    right = [made.record(other, each.right) for each in found]
    made.matches = [match_id(made.id, one, two) for one, two in zip(left, right, strict=True)]
    await work.connection.execute(
        "INSERT INTO matches (org_id, reconciliation_id, match_id, left_record_id,"
        " right_record_id, left_row, right_row, left_identifier, right_identifier, found,"
        " confidence, stage, amount, explanation)"
        " SELECT current_org_id(), $1, pair.match_id, pair.l, pair.r, l.row, r.row,"
        " l.identifier, r.identifier, found, confidence, stage, pair.amount, $11"
        " FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::float8[], $7::text[],"
        " $8::numeric[]) AS pair (match_id, l, r, found, confidence, stage, amount)"
        " JOIN records AS l ON l.dataset_id = $9 AND l.record_id = pair.l"
        " JOIN records AS r ON r.dataset_id = $10 AND r.record_id = pair.r",
        made.id,
        made.matches,
        left,
        right,
        [each.status for each in found],
        [each.confidence for each in found],
        [each.stage for each in found],
        [each.amount for each in found],
        made.datasets["left"],
        made.datasets[other],
        EVIDENCE,
    )


async def _join(work: UnitOfWork, made: Reconciled) -> None:
    """Put matched records into one cluster; each is matched with one left record at most here."""
    await work.connection.execute(
        "UPDATE records AS r SET cluster_id = l.cluster_id FROM matches AS m"
        " JOIN records AS l ON l.record_id = m.left_record_id"
        " WHERE m.reconciliation_id = $1 AND m.status = 'matched'"
        " AND r.record_id = m.right_record_id",
        made.id,
    )
