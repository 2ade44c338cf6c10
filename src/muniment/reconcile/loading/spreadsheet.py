"""Sheets of XLSX, XLS, XLSB and ODS workbooks, with the saved results of their formulas."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import python_calamine as calamine

from muniment.reconcile.loading.errors import (
    DatasetProtected,
    DatasetTooLarge,
    DatasetUnreadable,
    EmptyDataset,
    FormulaWithoutValue,
    RaggedRow,
)
from muniment.reconcile.loading.workbook import Workbook

BLOCK: Final = 8192
OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ZIP: Final = b"PK\x03\x04"

_WHOLE_LIMIT: Final = 256 << 20
"""Bytes that a workbook may unpack to which is not XLSX: its sheet is read as a whole."""

# A formula and then the end of its cell: no <v> with a result. The text of a formula holds no <.
# A cell of type `str` has the empty text as its result.
_NO_RESULT: Final = re.compile(
    rb'<(?:\w+:)?c\s(?![^>]*\bt="str")[^>]*?\br="([A-Z]+)([0-9]+)"[^>]*>\s*'
    rb"<(?:\w+:)?f\b[^>]*?(?:/>|>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v></(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_FORMULA: Final = re.compile(rb"<(?:\w+:)?f[ >/]")

Grid = list[list[str | None]]


@dataclass(slots=True)
class Sheet:
    """A sheet whose rows can be walked through once."""

    path: Path
    name: str
    part: str | None
    """Of an XLSX workbook, which is read in slices; None: the sheet is read as a whole."""
    notes: list[str]
    """Complete when all rows have been read."""
    formulas: int = 0
    _lines: list[tuple[int, int]] = field(default_factory=list)
    """For each slice the number of its first row among all, and its 0-based row in the sheet."""
    _left: int | None = None
    """0-based column where the used range of the first slice starts."""

    def blocks(self) -> Iterator[Grid]:
        """Yield the rows of the used range as strings, some thousands at a time.

        Raises:
            FormulaWithoutValue, DatasetTooLarge, DatasetUnreadable, RaggedRow
        """
        count = 0
        with closing(self._sheets()) as sheets:
            for sheet in sheets:
                if not sheet.height:
                    continue
                first = sheet.start or (0, 0)
                after = self._lines[-1][1] + count - self._lines[-1][0] if self._lines else 0
                # Rows without a number of their own are counted by calamine within the slice.
                self._lines.append((count, max(first[0], after)))
                for block in self._blocks(sheet, first[1]):
                    count += len(block)
                    yield block
        if self.formulas:
            self.notes.append(
                f"{self.formulas:,} formula{'s' * (self.formulas > 1)}: their saved results are "
                "read"
            )

    def line_of(self, row: int) -> int:
        """Return the 1-based row of the sheet."""
        start, line = next(
            (one for one in reversed(self._lines) if one[0] <= row), (0, self._lines[0][1])
        )
        return line + row - start + 1

    def _sheets(self) -> Generator[calamine.CalamineSheet]:
        if self.part is None:
            with _opened(self.path) as whole:
                yield whole.get_sheet_by_name(self.name)
            return
        with Workbook(self.path) as workbook:
            for rows, packed in workbook.slices(self.part):
                self._check_formulas(rows)
                try:
                    slice_ = calamine.CalamineWorkbook.from_filelike(packed)
                    sheet = slice_.get_sheet_by_name(self.name)
                except calamine.CalamineError as error:
                    raise DatasetUnreadable(f"The workbook cannot be read: {error}") from error
                # The cells are read; what they were read from need not wait until they are used.
                del rows, packed, slice_
                yield sheet

    def _blocks(self, sheet: calamine.CalamineSheet, start: int) -> Iterator[Grid]:
        if self._left is None:
            self._left = start
        if start < self._left:
            raise RaggedRow(
                f"Sheet “{self.name}”, row {self._lines[-1][1] + 1} and below: a cell stands to "
                "the left of the table.",
                line=self._lines[-1][1] + 1,
                column=f"column {start + 1}",
            )
        before: list[str | None] = [None] * (start - self._left)
        size = max(64, min(BLOCK, (1 << 21) // max(sheet.width, 1)))
        block: Grid = []
        # Not iter_rows, which begins at the first row of the sheet, however far above that is.
        for row in sheet.to_python(skip_empty_area=True):
            cells = [value or None if type(value) is str else _text(value) for value in row]
            block.append(before + cells if before else cells)
            if len(block) == size:
                yield block
                block = []
        if block:
            yield block

    def _check_formulas(self, rows: bytes) -> None:
        """Refuse a formula that has no saved result: its cell would read as empty."""
        found = len(_FORMULA.findall(rows))
        if not found:
            return
        self.formulas += found
        if missing := _NO_RESULT.search(rows):
            column, line = missing.group(1).decode(), int(missing.group(2))
            raise FormulaWithoutValue(
                f"Sheet “{self.name}”, cell {column}{line}: the formula was saved without its "
                "result. Open the workbook in a spreadsheet program and save it.",
                row=line - 1,
                column=f"column {column}",
                line=line,
            )


def open_sheet(path: Path, sheet: str | None = None) -> Sheet:
    """Choose a sheet: the named one, or the largest that is not hidden.

    XLSX is read in slices. XLS, XLSB and ODS are read as a whole, so they may not be as large.

    Raises:
        DatasetProtected, DatasetTooLarge, DatasetUnreadable, EmptyDataset
    """
    if not zipfile.is_zipfile(path):
        return _of_whole(path, sheet)
    try:
        workbook = Workbook(path)
    except KeyError:
        return _of_whole(path, sheet)
    with workbook:
        return _of_parts(path, workbook, sheet)


def _of_parts(path: Path, workbook: Workbook, wanted: str | None) -> Sheet:
    try:
        with calamine.CalamineWorkbook.from_filelike(workbook.without_rows()) as opened:
            known = opened.sheets_metadata
    except calamine.CalamineError as error:
        raise _translated(path, error) from error
    parts = workbook.sheet_parts()
    if len(parts) != len(known):
        return _of_whole(path, wanted)
    _check_name(wanted, [sheet.name for sheet in known])
    found = [
        (
            sheet.visible == calamine.SheetVisibleEnum.Visible,
            workbook.size_of(part),
            sheet.name,
            part,
        )
        for sheet, part in zip(known, parts, strict=True)
        if part is not None
        and sheet.typ == calamine.SheetTypeEnum.WorkSheet
        and wanted in (None, sheet.name)
    ]
    if not found:
        raise EmptyDataset("The workbook holds no sheet with cells.")
    # A stable sort: of equal ones the first sheet.
    chosen = max(found, key=lambda one: one[:2])
    others = [name for *_, name, _ in found if name != chosen[2]]
    return Sheet(path, chosen[2], chosen[3], _notes(chosen[2], others))


def _of_whole(path: Path, wanted: str | None) -> Sheet:
    """Choose a sheet by its cells, which takes reading all of them.

    Raises:
        DatasetTooLarge: the workbook is too large for that.
    """
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    if size > _WHOLE_LIMIT:
        raise DatasetTooLarge(
            f"The workbook unpacks to {size >> 20:,} MiB; of this kind up to "
            f"{_WHOLE_LIMIT >> 20:,} are read. Save it as XLSX or CSV."
        )
    with _opened(path) as workbook:
        _check_name(wanted, workbook.sheet_names)
        sizes: dict[str, int] = {}
        for name in workbook.sheet_names if wanted is None else [wanted]:
            try:
                one = workbook.get_sheet_by_name(name)
            except calamine.CalamineError:
                continue  # a chart sheet holds no cells
            if one.height:
                sizes[name] = one.height * one.width
    if not sizes:
        raise EmptyDataset("The workbook holds no cells.")
    name = max(sizes, key=lambda name: sizes[name])
    return Sheet(path, name, None, _notes(name, [other for other in sizes if other != name]))


def _check_name(wanted: str | None, names: list[str]) -> None:
    if wanted is not None and wanted not in names:
        raise DatasetUnreadable(f"There is no sheet “{wanted}”; there are: {', '.join(names)}.")


def _notes(name: str, others: list[str]) -> list[str]:
    notes = [f"sheet “{name}”"]
    if others:
        notes.append(f"other sheets not read: {', '.join(others)}")
    return notes


def _opened(path: Path) -> calamine.CalamineWorkbook:
    try:
        return calamine.CalamineWorkbook.from_path(path)
    except calamine.PasswordError as error:
        raise DatasetProtected from error
    except (calamine.CalamineError, OSError) as error:
        raise _translated(path, error) from error


def _text(value: Any) -> str | None:
    """Return a cell as text that reads back as the same value."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # Spreadsheets hold every number as a float; 42.0 was written 42.
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ") if value.time() != dt.time() else value.date().isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value)


def _translated(path: Path, error: Exception) -> DatasetUnreadable:
    with path.open("rb") as file:
        head = file.read(8)
        rest = file.read(1 << 16)
    # An encrypted XLSX is an OLE container with a stream of this name, in UTF-16.
    if head == OLE and "EncryptedPackage".encode("utf-16-le") in head + rest:
        return DatasetProtected()
    return DatasetUnreadable(f"The workbook cannot be read: {error}")
