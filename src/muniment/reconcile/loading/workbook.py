"""An XLSX workbook as its parts, and a sheet of it some thousand rows at a time.

calamine reads cells well and fast, but holds a whole sheet: some 700 MB for a million rows. So it
is given small workbooks one after the other, each with some rows of the sheet and all that these
refer to (strings, styles, the epoch of dates). The sheet is cut where a row ends, which takes no
knowledge of what is in the row.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from muniment.reconcile.loading.errors import DatasetTooLarge, DatasetUnreadable

UNPACKED_LIMIT: Final = 4 << 30
"""Bytes that the parts of a workbook may unpack to: a full sheet of 1,048,576 rows and 30
columns is below it, a zip bomb is not."""

_PART_LIMIT: Final = 64 << 20
_STRINGS_LIMIT: Final = 512 << 20
"""Bytes of the table of strings, which is held as a whole."""

_ROW_LIMIT: Final = 64 << 20
"""Bytes of one row: 16,384 columns of the longest texts that a spreadsheet allows are less."""

_SLICE: Final = 8 << 20
_LARGEST_SLICE: Final = 64 << 20
_CELLS: Final = 4 << 20
"""Cells of the rectangle around the rows of a slice, which calamine holds whether they are there
or not: two cells in opposite corners of a sheet would be 17 thousand million."""

_PIECE: Final = 1 << 20
_HEAD: Final = 4 << 20

_SHEET: Final = re.compile(rb'<(?:\w+:)?sheet\b[^>]*?\b\w+:id="([^"]+)"')
_LINK: Final = re.compile(rb"<(?:\w+:)?Relationship\b[^>]*>")
_TARGET: Final = re.compile(rb'\bTarget="([^"]+)"')
_ROOT: Final = re.compile(rb"<((?:\w+:)?)worksheet\b[^>]*>")
_DATA: Final = re.compile(rb"<(?:\w+:)?sheetData\s*(/?)>")
_ROW: Final = re.compile(rb'<(?:\w+:)?row\b[^>]*?\br="([0-9]+)"')
_WIDE: Final = re.compile(rb' r="([A-Z]{3})[0-9]')
_HALF_WIDE: Final = re.compile(rb' r="([A-Z]{2})[0-9]')


class Workbook:
    """The parts of an open XLSX file. Close it, or use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Open the file and check what it unpacks to.

        Raises:
            DatasetTooLarge: it unpacks to more than is read.
            DatasetUnreadable: it is damaged.
            KeyError: it is a ZIP file of another kind.
        """
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise DatasetUnreadable(f"The workbook is damaged: {error}.") from error
        try:
            _check_unpacked(self._archive)
            self._parts = {
                name: self._read(name, _PART_LIMIT)
                for name in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels")
            }
            self._links = self._targets()
            for name in ("[Content_Types].xml", "_rels/.rels", self._linked("styles")):
                if name in self._archive.namelist():
                    self._parts[name] = self._read(name, _PART_LIMIT)
            self._strings = self._linked("sharedStrings")
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._archive.close()

    def sheet_parts(self) -> list[str | None]:
        """Return the part of each sheet in the order of the workbook, None if it has none."""
        ids = _SHEET.findall(self._parts["xl/workbook.xml"])
        names = set(self._archive.namelist())
        found = [self._links.get(one, ("", ""))[0] for one in ids]
        return [part if part in names else None for part in found]

    def size_of(self, part: str) -> int:
        """Return how many bytes a part unpacks to."""
        return self._archive.getinfo(part).file_size

    def without_rows(self) -> io.BytesIO:
        """Return the workbook with its sheets' names and without anything in them."""
        return self._packed()

    def slices(self, part: str) -> Iterator[tuple[bytes, io.BytesIO]]:
        """Yield the rows of a sheet in XML, and a workbook that has these and no others.

        Raises:
            DatasetTooLarge: a row, or the table of strings, is.
            DatasetUnreadable: the sheet is damaged.
        """
        size = _SLICE
        if self._strings in self._archive.namelist():
            # The strings are read anew with each slice: many of them, fewer and larger slices.
            size = min(_LARGEST_SLICE, _SLICE + self._size(self._strings, _STRINGS_LIMIT) // 4)
        try:
            with self._archive.open(part) as file:
                opening, prefix, rest = _opening(file)
                for rows in _rows(file, rest, prefix, size):
                    for piece in _bounded(rows, b"</" + prefix + b"row>"):
                        end = b"</" + prefix + b"sheetData></" + prefix + b"worksheet>"
                        yield piece, self._packed(part, (opening, piece, end))
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DatasetUnreadable(f"The workbook is damaged: {error}.") from error

    def _packed(self, part: str = "", sheet: Iterable[bytes] = ()) -> io.BytesIO:
        """Return a workbook with its small parts and, if one is given, a sheet and the strings."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for name, text in self._parts.items():
                archive.writestr(name, text)
            if part:
                with archive.open(part, "w") as file:
                    for text in sheet:
                        file.write(text)
            if part and self._strings in self._archive.namelist():
                with (
                    archive.open(self._strings, "w") as file,
                    self._archive.open(self._strings) as source,
                ):
                    while piece := source.read(_PIECE):
                        file.write(piece)
        packed.seek(0)
        return packed

    def _read(self, name: str, limit: int) -> bytes:
        self._size(name, limit)
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DatasetUnreadable(f"The workbook is damaged: {error}.") from error

    def _size(self, name: str, limit: int) -> int:
        size = self._archive.getinfo(name).file_size
        if size > limit:
            raise DatasetTooLarge(
                f"Part {name} of the workbook unpacks to {size >> 20:,} MiB, more than "
                f"{limit >> 20:,}. Give the sheet as CSV or Parquet."
            )
        return size

    def _targets(self) -> dict[bytes, tuple[str, bytes]]:
        """Return for each link of the workbook its part and the whole element."""
        found = {}
        for link in _LINK.findall(self._parts["xl/_rels/workbook.xml.rels"]):
            target = _TARGET.search(link)
            name = re.search(rb'\bId="([^"]+)"', link)
            if target and name:
                part = target.group(1).decode("utf-8", "replace")
                part = part.lstrip("/") if part.startswith("/") else f"xl/{part}"
                found[name.group(1)] = (part, link)
        return found

    def _linked(self, kind: str) -> str:
        ending = f"/{kind}".encode()
        for part, link in self._links.values():
            if ending + b'"' in link:
                return part
        return ""


def _check_unpacked(archive: zipfile.ZipFile) -> None:
    size = sum(entry.file_size for entry in archive.infolist())
    if size > UNPACKED_LIMIT:
        raise DatasetTooLarge(
            f"The workbook unpacks to {size >> 20:,} MiB, more than {UNPACKED_LIMIT >> 20:,}."
        )


def _opening(file: IO[bytes]) -> tuple[bytes, bytes, bytes]:
    """Return what begins a sheet with rows, the prefix of its elements, and what was read on."""
    head = b""
    while not (data := _DATA.search(head)) and len(head) < _HEAD:
        piece = file.read(_PIECE)
        if not piece:
            break
        head += piece
    root = _ROOT.search(head)
    if root is None:
        raise DatasetUnreadable("The workbook is damaged: a sheet is no worksheet.")
    prefix = root.group(1)
    opening = root.group() + b"<" + prefix + b"sheetData>"
    if data is None or data.group(1):
        return opening, prefix, b""
    return opening, prefix, head[data.end() :]


def _rows(file: IO[bytes], rest: bytes, prefix: bytes, size: int) -> Iterator[bytes]:
    """Yield whole rows, about `size` bytes at a time."""
    row_end, end = b"</" + prefix + b"row>", b"</" + prefix + b"sheetData"
    held = bytearray(rest)
    if not held:
        return
    seen = 0
    while True:
        last = held.find(end, max(0, seen - len(end)))
        if last >= 0:
            if last:
                yield bytes(held[:last])
            return
        seen = len(held)
        if seen >= size and (cut := held.rfind(row_end)) >= 0:
            cut += len(row_end)
            yield bytes(held[:cut])
            del held[:cut]
            seen = len(held)
        elif seen > size + _ROW_LIMIT:
            raise DatasetTooLarge("A row of the sheet is larger than what is loaded.")
        piece = file.read(_PIECE)
        if not piece:
            raise DatasetUnreadable("The workbook is damaged: the sheet has no end.")
        held += piece


def _bounded(rows: bytes, row_end: bytes) -> Iterator[bytes]:
    """Yield the rows in halves of halves, until the rectangle around each is small enough."""
    numbers = [int(number) for number in _ROW.findall(rows)]
    height = max(numbers) - min(numbers) + 1 if numbers else rows.count(row_end)
    if height <= 1 or height * _width(rows) <= _CELLS:
        yield rows
        return
    cut = rows.find(row_end, len(rows) // 2)
    if cut < 0 or cut + len(row_end) >= len(rows):
        cut = rows.rfind(row_end, 0, len(rows) - len(row_end) - 1)
    if cut < 0:
        yield rows
        return
    cut += len(row_end)
    yield from _bounded(rows[:cut], row_end)
    yield from _bounded(rows[cut:], row_end)


def _width(rows: bytes) -> int:
    """Return how many columns the rows have at most."""
    for pattern in (_WIDE, _HALF_WIDE):
        if pattern.search(rows):
            letters = max(pattern.findall(rows))
            place = 0
            for letter in letters:
                place = place * 26 + letter - 64
            return place
    return 26
