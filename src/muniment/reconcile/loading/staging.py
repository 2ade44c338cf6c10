"""The first half of loading: every cell as it stands in the source, as strings in Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from muniment.reconcile.loading.errors import EmptyDataset, HeaderOnly, RaggedRow
from muniment.reconcile.loading.header import Header, find_header

GROUP: Final = 65_536
"""Rows of a row group: what is held in memory at a time when the rows are read again."""

NOTES: Final = b"muniment.notes"

Cells = Sequence[str | None]
Block = Sequence[Cells]


@dataclass(slots=True)
class Staged:
    """The cells of a source as strings, in a Parquet file."""

    path: Path
    names: tuple[str, ...]
    rows: int
    notes: tuple[str, ...]


class StringColumns:
    """Writes columns of strings to Parquet, some ten thousand rows at a time."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        # Column `row` is made by the cleaning; here is only what the source holds.
        self._schema = pa.schema([(name, pa.string()) for name in names])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", compression_level=1)
        self._held: list[pa.RecordBatch] = []
        self._count = 0
        self.rows = 0

    def add(self, columns: Sequence[Sequence[str | None]]) -> None:
        """Add rows, given column by column."""
        arrays = [pa.array(column, pa.string(), from_pandas=False) for column in columns]
        self.add_batch(pa.record_batch(arrays, schema=self._schema))

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add rows whose columns are strings already."""
        self._held.append(batch)
        self._count += batch.num_rows
        self.rows += batch.num_rows
        if self._count >= GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            table = pa.Table.from_batches(self._held, self._schema)
            self._writer.write_table(table, row_group_size=GROUP * 2)
            self._held, self._count = [], 0

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()


def stage_grid(
    blocks: Iterable[Block], target: Path, *, line_of: Callable[[int], int], notes: Sequence[str]
) -> Staged:
    """Write a grid of cells whose first rows hold a header.

    Args:
        blocks: rows from the top of the source, blank ones too, some thousands at a time.
        target: the Parquet file to write.
        line_of: the line of the source on which a row (counted from 0) starts, for errors.
        notes: what was decided so far.

    Raises:
        EmptyDataset, HeaderOnly, DuplicateHeader, RaggedRow
    """
    source = iter(blocks)
    first = next(source, None)
    if first is None:
        raise EmptyDataset("The file is empty.")
    header = find_header(first)
    writer = StringColumns(target, header.names)
    blank = 0
    try:
        before = header.skipped
        for block in chain([first[header.skipped :]], source):
            rows = [row for row in block if any(row)]
            blank += len(block) - len(rows)
            for row in _misfits(rows, header):
                # Identity, not equality: the same record may stand in the block twice.
                place = next(i for i, other in enumerate(block) if other is rows[row])
                line = line_of(before + place)
                raise _ragged(rows[row], header, number=writer.rows + row + 1, line=line)
            if rows:
                writer.add(_columns(rows, header))
            before += len(block)
    finally:
        writer.close()
    if not writer.rows:
        raise HeaderOnly(
            "The file has a header and no row below it.", row=1, column=header.names[0]
        )
    told = [*notes, *header.notes]
    if blank:
        told.append(f"{blank} blank row{'s' * (blank > 1)} left out")
    return Staged(target, header.names, writer.rows, tuple(told))


def _misfits(rows: list[Cells], header: Header) -> Iterator[int]:
    """Yield the places of rows that do not have the header's number of cells.

    Empty cells at the end beyond the header are no cells: spreadsheets write them.
    """
    width = header.width
    if set(map(len, rows)) <= {width}:
        return
    for place, row in enumerate(rows):
        if len(row) < width or any(row[width:]):
            yield place


def _columns(rows: list[Cells], header: Header) -> list[Sequence[str | None]]:
    width = header.width
    if any(len(row) != width for row in rows):
        rows = [row[:width] for row in rows]
    columns = list(zip(*rows, strict=True))
    return [columns[place] for place in header.places]


def _ragged(row: Cells, header: Header, *, number: int, line: int) -> RaggedRow:
    width, cells = header.width, len(row)
    if cells < width:
        column = header.names[min(cells, len(header.names) - 1)]
        what = f"“{column}” and what follows it is missing"
    else:
        column = f"column {width + 1}"
        value = next(cell for cell in row[width:] if cell)
        what = f"“{value[:60]}” belongs to no column"
    return RaggedRow(
        f"Row {number} (line {line}) has {cells} cells, the header has {width}: {what}.",
        row=number,
        column=column,
        line=line,
    )
