"""CSV, TSV and their kin: which signs separate and quote, and the records one block at a time."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final, TextIO

from muniment.reconcile.loading.encoding import file_encoding, undecodable
from muniment.reconcile.loading.errors import CellTooLarge, UnclosedQuote, WrongDelimiter
from muniment.reconcile.loading.staging import CELL_LIMIT

DELIMITERS: Final = "\t;|,"
"""Signs that separate cells, in the order that breaks a tie: a comma is also a decimal sign, a
thousands sign and punctuation, the others are hardly anything else."""

BLOCK: Final = 8192
"""Records that are held as Python objects at a time."""

_SAMPLE_RECORDS: Final = 500
_SAMPLE_CHARACTERS: Final = 512 * 1024
_LINE_LIMIT: Final = 16 << 20
_CHARACTERS_HELD: Final = 16 << 20
_CELLS_HELD: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the records of a file are written."""

    encoding: str
    delimiter: str
    escaped: bool = False
    """A quotation mark in a cell is written ``\\"``, not ``""``."""
    width: int = 1
    """Cells of most records."""

    def reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Return the records of lines, as lists of cells."""
        # strict: text after a closing quotation mark or an end inside one is an error here,
        # where it would silently move cells or swallow the rest of the file.
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            doublequote=not self.escaped,
            escapechar="\\" if self.escaped else None,
            strict=True,
        )


def sniff(path: Path, delimiter: str | None = None, encoding: str | None = None) -> Dialect:
    """Decide how a file is written: its encoding from all bytes, its signs from the first rows.

    Raises:
        NotATable, MixedEncodings: as `file_encoding`.
        WrongDelimiter: the given delimiter leaves one column where another sign gives several.
    """
    found = Dialect(encoding or file_encoding(path), delimiter or ",")
    with path.open(encoding=found.encoding, newline="", errors="replace") as file:
        sample = file.read(_SAMPLE_CHARACTERS)
    complete = len(sample) < _SAMPLE_CHARACTERS
    if not complete:
        sample = sample[: sample.rfind("\n") + 1] or sample
    escaped = '\\"' in sample and '""' not in sample.replace(',""', "").replace(';""', "")
    found = replace(found, escaped=escaped)
    choices = {sign: _fit(sample, replace(found, delimiter=sign)) for sign in DELIMITERS}
    best = max(DELIMITERS, key=lambda sign: choices[sign])
    if delimiter is None:
        share, width = choices[best]
        return replace(found, delimiter=best if width > 1 else ",", width=width if share else 1)
    share, width = choices.get(delimiter) or _fit(sample, found)
    if width == 1 and choices[best][1] > 1 and choices[best][0] > 0.9:
        raise WrongDelimiter(
            f"The rows do not split at {delimiter!r} but at {best!r}, into "
            f"{choices[best][1]} columns.",
            row=0,
            column="column 1",
            line=1,
        )
    return replace(found, width=width)


def _fit(sample: str, dialect: Dialect) -> tuple[float, int]:
    """Return the share of records that have the most frequent number of cells, and that number.

    Blank lines do not count, and single cells only if nothing has more: titles above a table
    say nothing about its delimiter.
    """
    widths: Counter[int] = Counter()
    try:
        for record in islice(dialect.reader(io.StringIO(sample, newline="")), _SAMPLE_RECORDS):
            widths[len(record)] += bool(record)
    except csv.Error:
        # The sample may end inside a cell, or this is not the sign: what was read so far counts.
        pass
    total = sum(widths.values())
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
    if not total or width == 1:
        several = total - widths[1]
        # Mostly single cells: still a table if the others agree and are more than a few.
        if several * 3 >= total and several > 1:
            width, count = max((item for item in widths.items() if item[0] > 1), key=lambda i: i[1])
            return count / total, width
        return 0.0, 1
    return count / total, width


def blocks(
    path: Path, dialect: Dialect, told: Callable[[float], None] = lambda _share: None
) -> Iterator[list[list[str]]]:
    """Yield the records of a file, some thousands at a time, from its first line on.

    Args:
        path: the file.
        dialect: how it is written.
        told: the share of its bytes that have been read, 0 to 1.

    Raises:
        UnclosedQuote: names the record where the quotation mark stands.
        MixedEncodings: names the line that the encoding cannot read.
    """
    csv.field_size_limit(CELL_LIMIT)
    # Some records at a time, then a look at how much they hold: a few of a million characters
    # each are as much as ten thousand usual ones.
    step = max(1, min(256, _CELLS_HELD // max(dialect.width, 1)))
    size = max(1, path.stat().st_size)
    most = max(step, min(BLOCK, _CELLS_HELD // max(dialect.width, 1)))
    with (
        path.open("rb") as raw,
        io.TextIOWrapper(raw, encoding=dialect.encoding, newline="") as file,
    ):
        lines = _Lines(file)
        reader = dialect.reader(lines)
        while True:
            block: list[list[str]] = []
            begun = lines.characters
            try:
                while len(block) < most and lines.characters - begun < _CHARACTERS_HELD:
                    before = len(block)
                    # extend keeps what was read before an error, so the place is known.
                    block.extend(islice(reader, step))
                    if len(block) == before:
                        break
            except csv.Error as error:
                raise _unclosed(path, dialect, str(error)) from error
            except UnicodeDecodeError as error:
                raise undecodable(path, dialect.encoding) from error
            if not block:
                return
            yield block
            told(min(1.0, raw.tell() / size))


class _Lines:
    """The lines of a file, none of them so long that it would fill the memory."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.count = 0
        self.characters = 0

    def __iter__(self) -> Iterator[str]:
        read = self._file.readline
        while line := read(_LINE_LIMIT):
            self.count += 1
            self.characters += len(line)
            if len(line) == _LINE_LIMIT and line[-1] not in "\r\n":
                raise CellTooLarge(
                    f"Line {self.count} has more than {_LINE_LIMIT:,} characters: the file has "
                    "no line ends, or is no table.",
                    line=self.count,
                    column="column 1",
                )
            yield line


def line_of(path: Path, dialect: Dialect, record: int) -> int:
    """Return the 1-based line on which a record starts; `record` counts from 0, blank ones too.

    Reads the file again up to there: it is asked for only to report an error.
    """
    with path.open(encoding=dialect.encoding, newline="") as file:
        reader = dialect.reader(_Lines(file))
        for _ in islice(reader, record):
            pass
        return int(getattr(reader, "line_num", 0)) + 1


def _unclosed(path: Path, dialect: Dialect, reason: str) -> UnclosedQuote | CellTooLarge:
    """Find the record that cannot be read and say so."""
    records = 0
    line = 1
    with path.open(encoding=dialect.encoding, newline="") as file:
        reader = dialect.reader(_Lines(file))
        try:
            for record in reader:
                records += bool(record)
                line = int(getattr(reader, "line_num", 0)) + 1
        except csv.Error:
            pass
    with path.open(encoding=dialect.encoding, newline="") as file:
        text = next(islice(_Lines(file), line - 1, None), "")[:CELL_LIMIT]
    place = _quote_place(text, dialect.delimiter)
    column = f"column {place}"
    if "larger than" in reason:
        told = f"a cell is longer than {CELL_LIMIT:,} characters"
        if text.count('"') % 2 == 0:
            told = f"Row {records} (line {line}): {told}: “{text.strip()[:80]}”."
            return CellTooLarge(told, row=records, line=line, column=_longest(text, dialect))
        told += ", most likely because its quotation mark is never closed"
    elif "unexpected end" in reason:
        told = "a quotation mark that opens a cell is never closed"
    else:
        told = "a closing quotation mark is not followed by a delimiter"
    return UnclosedQuote(
        f"Row {records} (line {line}): {told}: “{text.strip()[:80]}”.",
        row=records,
        line=line,
        column=column,
    )


def _longest(text: str, dialect: Dialect) -> str:
    cells = text.split(dialect.delimiter)
    return f"column {max(range(len(cells)), key=lambda place: len(cells[place])) + 1}"


def _quote_place(text: str, delimiter: str) -> int:
    """Return the 1-based cell in which quotation marks of a line stop being paired."""
    inside, cell = False, 1
    opened = 1
    for sign in text:
        if sign == '"':
            inside = not inside
            opened = cell
        elif sign == delimiter and not inside:
            cell += 1
    return opened
