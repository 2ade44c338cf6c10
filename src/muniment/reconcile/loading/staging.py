"""The first half of loading: every cell as it stands in the source, as strings in Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from muniment.reconcile.columns import rows_at_a_time
from muniment.reconcile.loading.errors import (
    CellTooLarge,
    EmptyDataset,
    HeaderOnly,
    RaggedRow,
    TooManyColumns,
    UnreadableCharacter,
)
from muniment.reconcile.loading.footer import footer_rows
from muniment.reconcile.loading.header import Header, find_header

NOTES: Final = b"muniment.notes"
"""Key of the metadata of a Parquet file of ours that says where its rows are from."""

Cells = Sequence[str | None]
Block = Sequence[Cells]


@dataclass(slots=True)
class Staged:
    """The cells of a source as strings, in a Parquet file."""

    path: Path
    names: tuple[str, ...]
    rows: int
    notes: tuple[str, ...]


_MOST_COLUMNS: Final = 2000
"""Columns of a dataset: what can still be looked at one by one. Each is read, described and
compared on its own, so that more of them cost without end what nobody looks at."""


CELL_LIMIT: Final = 1 << 20
"""Bytes of one cell: what is longer is a document, not a value that is compared."""

_BYTES_HELD: Final = 64 << 20


def check_width(columns: int) -> None:
    """Refuse a table that is wider than what is loaded.

    Raises:
        TooManyColumns: it is.
    """
    if columns > _MOST_COLUMNS:
        raise TooManyColumns(
            f"The table has {columns:,} columns, the most that are loaded are {_MOST_COLUMNS:,}. "
            "Leave out those that are not needed.",
            row=0,
            column=f"column {_MOST_COLUMNS + 1}",
        )


class StringColumns:
    """Writes columns of strings to Parquet, some ten thousand rows at a time."""

    def __init__(self, path: Path, names: Sequence[str], *, note: str | None = None) -> None:
        # Column `row` is made by the cleaning; here is only what the source holds.
        self._schema = pa.schema(
            [(name, pa.string()) for name in names],
            metadata={NOTES: note.encode()} if note else None,
        )
        # A file of our own: where the disk is full, the writer would leave its one open.
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pq.ParquetWriter(
            self._file, self._schema, compression="zstd", compression_level=1
        )
        self._held: list[pa.RecordBatch] = []
        self._count = self._bytes = 0
        self._group = rows_at_a_time(len(names))
        self.rows = 0

    def add(self, columns: Sequence[Sequence[str | None]]) -> None:
        """Add rows, given column by column."""
        arrays = [pa.array(column, pa.string(), from_pandas=False) for column in columns]
        self.add_batch(pa.record_batch(arrays, names=self._schema.names))

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add rows whose columns are strings already.

        Raises:
            CellTooLarge, UnreadableCharacter: names row and column.
        """
        for name, values in zip(self._schema.names, batch.columns, strict=True):
            _check_cells(values, name, self.rows)
        self._held.append(pa.record_batch(batch.columns, schema=self._schema))
        self._count += batch.num_rows
        self._bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._count >= self._group or self._bytes >= _BYTES_HELD:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            table = pa.Table.from_batches(self._held, self._schema)
            self._writer.write_table(table, row_group_size=self._group * 2)
            self._held, self._count, self._bytes = [], 0, 0

    def close(self) -> None:
        """Write what is left."""
        try:
            self._flush()
            self._writer.close()
        finally:
            self._file.close()


def _check_cells(values: pa.Array, column: str, before: int) -> None:
    """Refuse what cannot be kept: cells that are too long, and zeros, which Postgres has not."""
    longest = pc.max(pc.binary_length(values)).as_py() or 0
    if longest > CELL_LIMIT:
        row = before + pc.index(pc.binary_length(values), longest).as_py() + 1
        raise CellTooLarge(
            f"Row {row}, column “{column}”: the cell has {longest:,} bytes, the most that is "
            f"loaded is {CELL_LIMIT:,}.",
            row=row,
            column=column,
        )
    zeros = pc.match_substring(values, "\0")
    if pc.any(zeros).as_py():
        row = before + pc.index(zeros, True).as_py() + 1
        raise UnreadableCharacter(
            f"Row {row}, column “{column}”: the cell holds a zero byte (NUL), which is no text.",
            row=row,
            column=column,
        )


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
    check_width(len(header.names))
    writer = StringColumns(target, header.names)
    blank = 0
    below: list[str] = []
    try:
        before = header.skipped
        for whole, last in _with_last(chain([first[header.skipped :]], source)):
            block = whole
            if last and (footer := footer_rows(block, header.width)):
                below = [next(filter(None, row)) for row in block[-footer:] if any(row)]
                block = block[:-footer]
            rows = [row for row in block if any(row)]
            blank += len(block) - len(rows)
            for row in _misfits(rows, header):
                # Identity, not equality: the same record may stand in the block twice.
                place = next(i for i, other in enumerate(block) if other is rows[row])
                line = line_of(before + place)
                raise _ragged(rows[row], header, number=writer.rows + row + 1, line=line)
            if rows:
                writer.add(_columns(rows, header))
            before += len(whole)
    finally:
        writer.close()
    if not writer.rows:
        raise HeaderOnly(
            "The file has a header and no row below it.", row=1, column=header.names[0]
        )
    told = [*notes, *header.notes]
    if blank:
        told.append(f"{blank} blank row{'s' * (blank > 1)} left out")
    if below:
        told.append(
            f"{len(below)} row{'s' * (len(below) > 1)} below the table left out: "
            + ", ".join(f"“{text.strip()[:40]}”" for text in below)
        )
    return Staged(target, header.names, writer.rows, tuple(told))


def _with_last(blocks: Iterable[Block]) -> Iterator[tuple[Block, bool]]:
    """Yield each block, and whether it is the last one."""
    walked = iter(blocks)
    block = next(walked, None)
    while block is not None:
        following = next(walked, None)
        yield block, following is None
        block = following


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
