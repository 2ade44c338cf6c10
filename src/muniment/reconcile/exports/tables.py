"""What is exported of a reconciliation, read from the database in batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from muniment.db import Database, TenantScope, UnitOfWork, load_statements
from muniment.reconcile.exports.explanation import explain
from muniment.reconcile.exports.rows import MATCH_COLUMNS, MatchRow
from muniment.reconcile.exports.table import ExportColumn, Kind, Rows, Table, What, with_sources
from muniment.reconcile.golden.library import golden_records_after, setting_of
from muniment.reconcile.matching.match import Alternative, FieldEvidence
from muniment.reconcile.review.matches import (
    MatchFilter,
    matches_below,
    reconciliation_in_view,
    unmatched_after,
)
from muniment.reconcile.review.schemas import Side, Status

_statements = load_statements("muniment.reconcile.exports")

_BATCH = 1_000
_CLUSTERS = 500
_KINDS = {
    "left_row": Kind.WHOLE,
    "right_row": Kind.WHOLE,
    "amount": Kind.MONEY,
    "confidence": Kind.NUMBER,
}


Made: TypeAlias = Callable[[UnitOfWork, Sequence[asyncpg.Record]], Awaitable[Rows]]
"""Makes lines of matches, in the transaction that they were read in."""


class Exporter:
    """Reads a reconciliation as tables; each batch in a transaction of its own."""

    def __init__(
        self, database: Database, tenant: TenantScope, reconciliation_id: UUID, row: asyncpg.Record
    ) -> None:
        self._database, self._tenant, self._id, self._row = (
            database,
            tenant,
            reconciliation_id,
            row,
        )
        ids = [row["left_dataset_id"], row["right_dataset_id"]]
        self._dataset_ids = [dataset_id for dataset_id in ids if dataset_id is not None]
        self._alone = row["right_dataset_id"] is None

    @classmethod
    async def open(
        cls, database: Database, tenant: TenantScope, work: UnitOfWork, reconciliation_id: UUID
    ) -> Exporter:
        """Look at a reconciliation as far as the caller may see it.

        Raises:
            ReconciliationNotFound: the organization (or the caller's workspace) has none such.
        """
        row = await reconciliation_in_view(work, reconciliation_id)
        return cls(database, tenant, reconciliation_id, row)

    @property
    def name(self) -> str:
        """Of the reconciliation."""
        name: str = self._row["name"]
        return name

    async def table(self, work: UnitOfWork, what: What) -> Table:
        """Return what is to be exported; its batches are read later, one after the other."""
        match what:
            case What.MATCHES:
                shown = (Status.MATCHED, Status.ACCEPTED, Status.REVIEW)
                return Table(self._match_columns(), self._pairs(self._as_they_are, *shown))
            case What.REVIEW:
                return await self._review_table(work)
            case What.UNMATCHED:
                return await self._unmatched_table(work)
            case What.GOLDEN:
                return await self._golden_table(work)

    def _reading(self) -> Any:
        return self._database.unit_of_work(self._tenant, read_only=True)

    def _match_columns(self) -> list[ExportColumn]:
        names = [*MATCH_COLUMNS, "cluster_id"] if self._alone else MATCH_COLUMNS
        return [ExportColumn(name, _KINDS.get(name, Kind.TEXT)) for name in names]

    # --- matches ----------------------------------------------------------------------------------

    async def _pairs(self, made: Made, *statuses: Status) -> AsyncIterator[Rows]:
        """Yield what is made of matches of some statuses, the surest first.

        Nothing is held open while a batch is taken: whoever takes it may be slow.
        """
        wanted = MatchFilter(statuses=statuses)
        start, count = wanted.start, _BATCH
        while count == _BATCH:
            async with self._reading() as work:
                rows = await matches_below(
                    work, self._id, self._row, wanted, start=start, limit=_BATCH
                )
                lines = await made(work, rows)
            count = len(rows)
            if rows:
                start = (rows[-1]["confidence"], rows[-1]["match_id"])
                yield lines

    async def _as_they_are(self, _work: UnitOfWork, rows: Sequence[asyncpg.Record]) -> Rows:
        return await asyncio.to_thread(lambda: [self._match_row(row) for row in rows])

    def _match_row(self, row: asyncpg.Record) -> Sequence[object]:
        found = MatchRow(
            row["left_row"],
            row["right_row"],
            row["left_identifier"],
            row["right_identifier"],
            row["amount"],
            row["confidence"],
            row["status"],
            row["stage"],
            explain(msgspec.convert(row["explanation"], list[FieldEvidence])),
            row["cluster_id"],
        )
        return found if self._alone else found[:-1]

    async def _review_table(self, work: UnitOfWork) -> Table:
        names = await self._names(work)
        other = Side.LEFT if self._alone else Side.RIGHT
        told = [f"left: {name}" for name in names.get(Side.LEFT, ())]
        told += [f"right: {name}" for name in names.get(other, ())]
        columns = with_sources(self._match_columns(), ["alternatives", *told])
        left, right = names.get(Side.LEFT, []), names.get(other, [])

        async def with_cells(work: UnitOfWork, rows: Sequence[asyncpg.Record]) -> Rows:
            return await self._with_cells(work, rows, left, right)

        return Table(columns, self._pairs(with_cells, Status.REVIEW))

    async def _with_cells(
        self,
        work: UnitOfWork,
        rows: Sequence[asyncpg.Record],
        left: Sequence[str],
        right: Sequence[str],
    ) -> Rows:
        """Return matches with their alternatives and all cells of both records."""
        ids = {row[side] for row in rows for side in ("left_record_id", "right_record_id")}
        found = await _statements.records_by_id(
            work, dataset_ids=self._dataset_ids, record_ids=list(ids)
        )
        cells: dict[UUID, Mapping[str, str]] = {
            record["record_id"]: record["original"] for record in found
        }
        alternatives = await self._alternatives(work, rows)
        return [
            [
                *line,
                told,
                *(cells.get(row["left_record_id"], {}).get(name) for name in left),
                *(cells.get(row["right_record_id"], {}).get(name) for name in right),
            ]
            for line, row, told in zip(
                await self._as_they_are(work, rows), rows, alternatives, strict=True
            )
        ]

    async def _alternatives(self, work: UnitOfWork, rows: Sequence[asyncpg.Record]) -> list[str]:
        """Name the other candidates of each match: of the record that stays only the partner."""
        found = [msgspec.convert(row["alternatives"], list[Alternative]) for row in rows]
        numbers = {
            number for each in found for one in each for number in (one.left_row, one.right_row)
        }
        named = await _statements.identifiers_of_rows(
            work, dataset_ids=self._dataset_ids, rows=list(numbers)
        )
        names = {(row["side"], row["row"]): row["identifier"] for row in named}
        other = Side.LEFT if self._alone else Side.RIGHT

        def told(row: asyncpg.Record, one: Alternative) -> str:
            places = [
                names.get((side, number), f"row {number}")
                for side, number, own in (
                    (Side.LEFT, one.left_row, row["left_row"]),
                    (other, one.right_row, row["right_row"]),
                )
                if number != own
            ]
            return f"{' with '.join(places)} ({one.confidence:.2f})"

        return [
            "; ".join(told(row, one) for one in each) for row, each in zip(rows, found, strict=True)
        ]

    # --- records ----------------------------------------------------------------------------------

    async def _names(self, work: UnitOfWork) -> dict[str, list[str]]:
        row = await _statements.source_columns(work, reconciliation_id=self._id)
        return row["columns"] or {}

    async def _unmatched_table(self, work: UnitOfWork) -> Table:
        row = await _statements.source_columns(work, reconciliation_id=self._id)
        columns: dict[str, list[str]] = row["columns"] or {}
        names = list(dict.fromkeys(name for side in Side for name in columns.get(side, ())))
        cancelled = {
            (offset["side"], number): other
            for offset in row["offsets"] or ()
            for number, other in (
                (offset["row"], offset["other_row"]),
                (offset["other_row"], offset["row"]),
            )
        }
        heads = [
            ExportColumn("side"),
            ExportColumn("row", Kind.WHOLE),
            ExportColumn("id"),
            ExportColumn("status"),
            ExportColumn("offset_row", Kind.WHOLE),
        ]
        return Table(with_sources(heads, names), self._unmatched(names, cancelled))

    async def _unmatched(
        self, names: Sequence[str], cancelled: Mapping[tuple[str, int], int]
    ) -> AsyncIterator[Rows]:
        for side in Side:
            after: int | None = 0
            while after is not None:
                async with self._reading() as work:
                    rows, after = await unmatched_after(
                        work, self._id, self._row, side, after=after, limit=_BATCH
                    )
                yield [
                    [
                        side.value,
                        row["row"],
                        row["identifier"],
                        _state(row["in_review"], cancelled.get((side, row["row"]))),
                        cancelled.get((side, row["row"])),
                        *(row["original"].get(name) for name in names),
                    ]
                    for row in rows
                ]

    async def _golden_table(self, work: UnitOfWork) -> Table:
        setting = await setting_of(work, self._id)
        heads = [ExportColumn("cluster_id"), ExportColumn("records", Kind.WHOLE)]
        columns = with_sources(heads, setting.column_names)

        async def batches() -> AsyncIterator[Rows]:
            after = UUID(int=0)
            while True:
                async with self._reading() as reading:
                    found = await golden_records_after(reading, self._id, setting, after, _CLUSTERS)
                yield [
                    [str(one.cluster_id), len(one.members), *one.values.values()] for one in found
                ]
                if len(found) < _CLUSTERS:
                    return
                after = found[-1].cluster_id

        return Table(columns, batches())


def _state(in_review: int, offset_row: int | None) -> str:
    if in_review:
        return "review"
    return "unmatched" if offset_row is None else "offset"
