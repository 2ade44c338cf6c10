"""Sheets of XLSX, XLS and ODS workbooks, with the cached results of their formulas."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import python_calamine as calamine

from muniment.reconcile.loading.errors import (
    DatasetProtected,
    DatasetTooLarge,
    DatasetUnreadable,
    EmptyDataset,
    FormulaWithoutValue,
)

BLOCK: Final = 8192
OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ZIP: Final = b"PK\x03\x04"

_UNPACKED_LIMIT: Final = 4 << 30
"""Bytes that the parts of a workbook may unpack to: a full sheet of 1,048,576 rows and 30
columns is below it, a zip bomb is not."""

# A formula and then the end of its cell: no <v> with a result. The text of a formula holds no <.
_NO_RESULT: Final = re.compile(
    rb'<c\s[^>]*?\br="([A-Z]+)([0-9]+)"[^>]*>\s*<f\b[^>]*?(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>'
)
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet of an open workbook."""

    path: Path
    sheet: calamine.CalamineSheet
    first_line: int
    """0-based row of the sheet where its used range starts."""
    notes: tuple[str, ...]

    def blocks(self) -> Iterator[list[list[str | None]]]:
        """Yield the rows of the used range as strings, some thousands at a time."""
        block: list[list[str | None]] = []
        for row in self.sheet.iter_rows():
            block.append([_text(value) for value in row])
            if len(block) == BLOCK:
                yield block
                block = []
        if block:
            yield block

    def line_of(self, row: int) -> int:
        """Return the 1-based row of the sheet."""
        return self.first_line + row + 1


def open_sheet(path: Path, sheet: str | None = None) -> Sheet:
    """Open a sheet: the named one, or the one with the most cells.

    Raises:
        DatasetProtected, DatasetTooLarge, DatasetUnreadable, EmptyDataset, FormulaWithoutValue
    """
    _check_size(path)
    try:
        workbook = calamine.CalamineWorkbook.from_path(path)
        names = workbook.sheet_names
    except calamine.PasswordError as error:
        raise DatasetProtected from error
    except (calamine.CalamineError, OSError) as error:
        raise _translated(path, error) from error
    if sheet is not None and sheet not in names:
        raise DatasetUnreadable(f"There is no sheet “{sheet}”; there are: {', '.join(names)}.")
    # The sizes stand in the sheets' own dimensions; reading them to count would cost the load.
    found: calamine.CalamineSheet | None = None
    others: list[str] = []
    for name in [sheet] if sheet is not None else names:
        try:
            one = workbook.get_sheet_by_name(name)
        except calamine.CalamineError:
            continue  # a chart sheet holds no cells
        if not one.height:
            continue
        if found is None or _cells(one) > _cells(found):
            if found is not None:
                others.append(found.name)
            found = one
        else:
            others.append(name)
    if found is None:
        raise EmptyDataset("The workbook holds no cells.")
    notes = [f"sheet “{found.name}”"]
    if others:
        notes.append(f"other sheets not read: {', '.join(others)}")
    _check_formulas(path, names.index(found.name), found.name)
    return Sheet(path, found, found.start[0] if found.start else 0, tuple(notes))


def _cells(sheet: calamine.CalamineSheet) -> int:
    return sheet.height * sheet.width


def _text(value: object) -> str | None:
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


def _check_size(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _UNPACKED_LIMIT:
        raise DatasetTooLarge(
            f"The workbook unpacks to {size >> 20:,} MiB, more than {_UNPACKED_LIMIT >> 20:,}."
        )


def _check_formulas(path: Path, index: int, name: str) -> None:
    """Refuse a sheet with a formula that has no cached result: its cell would read as empty."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        # Sheets are numbered in the order they were made; take the one the workbook names.
        part = _sheet_part(archive, index)
        if part is None:
            return
        tail = b""
        with archive.open(part) as file:
            while piece := file.read(_PIECE):
                text = tail + piece
                if b"<f" in text and (found := _NO_RESULT.search(text)):
                    column, line = found.group(1).decode(), int(found.group(2))
                    raise FormulaWithoutValue(
                        f"Sheet “{name}”, cell {column}{line}: the formula was saved without its "
                        "result. Open the workbook in a spreadsheet program and save it.",
                        row=line - 1,
                        column=f"column {column}",
                        line=line,
                    )
                tail = text[-4096:]


def _sheet_part(archive: zipfile.ZipFile, index: int) -> str | None:
    """Return the part that holds the sheet at this place of an XLSX workbook."""
    try:
        book = archive.read("xl/workbook.xml")
        links = archive.read("xl/_rels/workbook.xml.rels")
    except KeyError:
        return None
    ids = re.findall(rb'<(?:\w+:)?sheet\b[^>]*?\br:id="([^"]+)"', book)
    if index >= len(ids):
        return None
    for link in re.findall(rb"<Relationship\b[^>]*>", links):
        target = re.search(rb'Target="([^"]+)"', link)
        if target and b'Id="' + ids[index] + b'"' in link:
            part = target.group(1).decode()
            part = part.lstrip("/") if part.startswith("/") else f"xl/{part}"
            return part if part in archive.namelist() else None
    return None


def _translated(path: Path, error: Exception) -> DatasetUnreadable:
    with path.open("rb") as file:
        head = file.read(8)
        rest = file.read(1 << 16)
    # An encrypted XLSX is an OLE container with a stream of this name, in UTF-16.
    if head == OLE and "EncryptedPackage".encode("utf-16-le") in head + rest:
        return DatasetProtected()
    return DatasetUnreadable(f"The workbook cannot be read: {error}")
