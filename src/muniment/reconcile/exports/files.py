"""Write tables as CSV, XLSX or Parquet, a batch of rows in memory at a time."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

from muniment.reconcile.exports.cells import csv_lines, plain
from muniment.reconcile.exports.table import ExportColumn, ExportFormat, Kind, Rows, Table

_PIECE: Final = 64 * 1024
_SHEET_ROWS: Final = 1_048_576
"""Rows of a sheet, the header among them (Excel specifications and limits)."""
_CELL: Final = 32_767
"""Characters of a cell (the same); longer text ends with an ellipsis."""

_TYPES: Final = {
    Kind.TEXT: pa.string(),
    Kind.WHOLE: pa.int64(),
    Kind.NUMBER: pa.float64(),
    # Amounts have 18 digits at most, any number of them after the point.
    Kind.MONEY: pa.decimal128(38, 18),
}


async def pieces_of(
    table: Table, written_as: ExportFormat, name: str, *, raw: bool = False
) -> AsyncIterator[bytes]:
    """Yield the pieces of a file.

    CSV and Parquet are sent while rows are read. A spreadsheet is written to a temporary file
    first, since its parts are put together at the end.

    Args:
        table: columns and rows.
        written_as: kind of file.
        name: of the sheet.
        raw: in CSV, leave text as it is that a spreadsheet would take for a formula.
    """
    if written_as is ExportFormat.CSV:
        pieces = _csv(table, guarded=not raw)
    elif written_as is ExportFormat.PARQUET:
        pieces = _parquet(table)
    else:
        pieces = _xlsx(table, name)
    async for piece in pieces:
        yield piece


async def _csv(table: Table, *, guarded: bool) -> AsyncIterator[bytes]:
    yield csv_lines([[column.name for column in table.columns]], guarded=guarded).encode()
    async for rows in table.batches:
        if rows:
            yield (await asyncio.to_thread(csv_lines, rows, guarded=guarded)).encode()


# --- Parquet --------------------------------------------------------------------------------------


class _Drain:
    """A file that is emptied as it is written."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> int:
        self._written.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        data, self._written = b"".join(self._written), []
        return data

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


async def _parquet(table: Table) -> AsyncIterator[bytes]:
    schema = pa.schema([(column.name, _TYPES[column.kind]) for column in table.columns])
    drain = _Drain()
    writer = pq.ParquetWriter(drain, schema, compression="zstd")
    try:
        async for rows in table.batches:
            if rows:
                await asyncio.to_thread(_write_group, writer, schema, rows)
                yield drain.taken()
    finally:
        writer.close()
    yield drain.taken()


def _write_group(writer: Any, schema: pa.Schema, rows: Rows) -> None:
    cells = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(cells, schema, strict=True)]
    writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


# --- spreadsheets ---------------------------------------------------------------------------------


async def _xlsx(table: Table, name: str) -> AsyncIterator[bytes]:
    with tempfile.TemporaryDirectory(prefix="muniment-export-") as folder:
        path = Path(folder, "export.xlsx")
        book = await asyncio.to_thread(_Book, path, name, table.columns)
        try:
            async for rows in table.batches:
                await asyncio.to_thread(book.add, rows)
        finally:
            await asyncio.to_thread(book.close)
        with await asyncio.to_thread(path.open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece


class _Book:
    """A workbook that is written row by row, with another sheet where one is full."""

    def __init__(self, path: Path, name: str, columns: list[ExportColumn]) -> None:
        options = {
            "constant_memory": True,
            # Text is text: neither a formula nor a link nor a number.
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "tmpdir": str(path.parent),
        }
        self._book = xlsxwriter.Workbook(str(path), options)
        self._bold = self._book.add_format({"bold": True})
        self._name, self._columns = name, columns
        self._sheets = 0
        self._begin_sheet()

    def add(self, rows: Rows) -> None:
        for row in rows:
            if self._row == _SHEET_ROWS:
                self._begin_sheet()
            for at, (value, column) in enumerate(zip(row, self._columns, strict=True)):
                if value is not None:
                    self._write(at, value, column.kind)
            self._row += 1

    def close(self) -> None:
        self._book.close()

    def _begin_sheet(self) -> None:
        self._sheets += 1
        name = self._name if self._sheets == 1 else f"{self._name} {self._sheets}"
        self._sheet = self._book.add_worksheet(name)
        self._sheet.freeze_panes(1, 0)
        for at, column in enumerate(self._columns):
            self._sheet.write_string(0, at, _fitting(column.name), self._bold)
        self._row = 1

    def _write(self, at: int, value: object, kind: Kind) -> None:
        if kind is Kind.TEXT:
            self._sheet.write_string(self._row, at, _fitting(plain(value)))
        elif isinstance(value, Decimal) and abs(value) >= 10**15:
            # A number of a spreadsheet holds fifteen digits.
            self._sheet.write_string(self._row, at, plain(value))
        else:
            self._sheet.write_number(self._row, at, float(str(value)))


def _fitting(text: str) -> str:
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"
