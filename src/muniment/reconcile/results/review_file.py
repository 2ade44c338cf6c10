"""The files beside the matches: what needs a look, and what has no match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

import numpy as np
import pyarrow.parquet as pq

from muniment.reconcile.columns import Dataset
from muniment.reconcile.exports.cells import csv_lines
from muniment.reconcile.exports.rows import MATCH_COLUMNS, MatchRow
from muniment.reconcile.matching.match import Alternative, Match
from muniment.reconcile.matching.outcome import Offset
from muniment.reconcile.results.originals import Identifiers
from muniment.reconcile.results.tally import MATCHED, STATES, States

_BLOCK = 20_000
"""Pairs whose records are looked up in one pass over the originals."""
_RECORDS = 8_192
"""Records that are read at a time."""

Shown = tuple[MatchRow, list[Alternative]]


class ReviewFile:
    """Pairs that a person should look at, with all cells of both records side by side."""

    def __init__(
        self,
        file: TextIO,
        left: tuple[Dataset, Identifiers],
        right: tuple[Dataset, Identifiers],
    ) -> None:
        """Write the header; `file` is open for text, with ``newline=""``."""
        self._file, self._left, self._right = file, left, right
        self._waiting: list[Shown] = []
        self.rows = 0
        names = [
            f"{side}: {column.name}"
            for side, (dataset, _) in (("left", left), ("right", right))
            for column in dataset.columns
        ]
        file.write(csv_lines([[*MATCH_COLUMNS, "alternatives", *names]]))

    def add(self, row: MatchRow, match: Match) -> None:
        """Add a pair; pairs are written many at a time."""
        self._waiting.append((row, match.alternatives))
        if len(self._waiting) >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write what was added."""
        left = _records(self._left[0], [row.left_row for row, _ in self._waiting])
        right = _records(self._right[0], [row.right_row for row, _ in self._waiting])
        for (row, rivals), mine, theirs in zip(self._waiting, left, right, strict=True):
            told = self._alternatives(row, rivals)
            line = [*row[: len(MATCH_COLUMNS)], told, *mine, *theirs]
            self._file.write(csv_lines([line]))
        self.rows += len(self._waiting)
        self._waiting = []

    def _alternatives(self, row: MatchRow, rivals: list[Alternative]) -> str:
        """Name the other candidates: of the record that stays only the new partner."""
        told = []
        for rival in rivals:
            places = []
            for side, number, own in (
                (self._left, rival.left_row, row.left_row),
                (self._right, rival.right_row, row.right_row),
            ):
                if number != own:
                    [name] = side[1].of([number])
                    places.append(f"row {number}" if name is None else name)
            told.append(f"{' with '.join(places)} ({rival.confidence:.2f})")
        return "; ".join(told)


def write_unmatched(
    file: TextIO,
    sides: Sequence[tuple[str, Dataset, Identifiers, States]],
    offsets: Sequence[Offset],
) -> int:
    """Write the records that are in no match that holds, and return how many.

    A record is `review` if a pair of it is in the review file, `offset` if another record of its
    side cancels it, which `offset_row` names, and `unmatched` otherwise. Columns of the same name
    share a column of the file.
    """
    names = dict.fromkeys(column.name for _, dataset, _, _ in sides for column in dataset.columns)
    file.write(csv_lines([["side", "row", "id", "status", "offset_row", *names]]))
    cancelled = {
        (offset.side, row): other
        for offset in offsets
        for row, other in ((offset.row, offset.other_row), (offset.other_row, offset.row))
    }
    count = 0
    for side, dataset, identifiers, states in sides:
        for rows, records in _open_records(dataset, states):
            lines = [
                [
                    side,
                    row,
                    name,
                    STATES[states[row]],
                    cancelled.get((side, row)),
                    *(record.get(column) for column in names),
                ]
                for row, name, record in zip(rows, identifiers.of(rows), records, strict=True)
            ]
            file.write(csv_lines(lines))
            count += len(lines)
    return count


def _open_records(
    dataset: Dataset, states: States
) -> Iterator[tuple[list[int], list[dict[str, str | None]]]]:
    """Yield rows and cells of the records without a match, some thousand at a time."""
    if dataset.originals is None:
        rows = (np.flatnonzero(states[1:] != MATCHED) + 1).tolist()
        names = [column.name for column in dataset.columns]
        yield rows, dataset.original_values(names, rows)
        return
    start = 1
    with pq.ParquetFile(dataset.originals) as file:
        for batch in file.iter_batches(batch_size=_RECORDS):
            without = np.flatnonzero(states[start : start + batch.num_rows] != MATCHED)
            if len(without):
                yield (without + start).tolist(), batch.take(without).to_pylist()
            start += batch.num_rows


def _records(dataset: Dataset, rows: Sequence[int]) -> list[list[str | None]]:
    """Return all cells of records, in the order of the columns."""
    names = [column.name for column in dataset.columns]
    found = dataset.original_values(names, rows) if rows else []
    return [[record[name] for name in names] for record in found]
