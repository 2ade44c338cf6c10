"""Which character encoding a delimited file is written in, decided from all of its bytes."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from muniment.documents.text_decoding import detect_encoding
from muniment.reconcile.loading.errors import MixedEncodings, NotATable

_PIECE: Final = 1 << 20
_SAMPLE: Final = 64 * 1024


@dataclass(slots=True)
class _Lines:
    """The lines of a file that are not ASCII, by whether they are valid UTF-8."""

    utf8: int = 0
    other: int = 0
    first_utf8: tuple[int, bytes] | None = None
    first_other: tuple[int, bytes] | None = None
    sample: bytes = b""
    """The first of the lines that are not UTF-8: what the guess is made from."""

    def see(self, number: int, line: bytes) -> None:
        if line.isascii():
            return
        try:
            line.decode()
        except UnicodeDecodeError:
            self.other += 1
            self.first_other = self.first_other or (number, line)
            if len(self.sample) < _SAMPLE:
                self.sample += line
        else:
            self.utf8 += 1
            self.first_utf8 = self.first_utf8 or (number, line)


def file_encoding(path: Path) -> str:
    """Return the encoding of a text file, from all of its bytes.

    A file is UTF-8 if all of it is; a legacy encoding is guessed from the lines that are not
    UTF-8, so that an accent in row 900,000 decides as one in row 1 does.

    Raises:
        NotATable: the file is binary.
        MixedEncodings: some lines are UTF-8 and others are not; names the first of the fewer.
    """
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
    guess = detect_encoding(head)
    if guess is None:
        raise NotATable("The file is binary data, no table of text.")
    if guess.startswith("utf-") and guess != "utf-8":
        return guess
    if _is_utf8(path):
        return "utf-8"
    lines = _look_at_lines(path)
    if lines.utf8 and lines.other:
        raise _mixed(lines)
    found = detect_encoding(lines.sample + b"\n") or guess
    # A sample that ends inside a character passes for UTF-8, which the whole file is not.
    return "cp1252" if found == "utf-8" else found


def undecodable(path: Path, encoding: str) -> MixedEncodings:
    """Return the error for a file that an encoding cannot read, with the first line it fails at."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_PIECE):
            number += 1
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                delimiter = max(b",;\t|", key=line.count)
                column = f"column {line[: error.start].count(delimiter) + 1}"
                return MixedEncodings(
                    f"Line {number} cannot be read as {encoding}: "
                    f"“{line.strip().decode(encoding, 'replace')[:80]}”.",
                    line=number,
                    row=number - 1,
                    column=column,
                )
    return MixedEncodings(f"The file cannot be read as {encoding}.")


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while piece := file.read(_PIECE):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _look_at_lines(path: Path) -> _Lines:
    lines = _Lines()
    with path.open("rb") as file:
        number = 0
        # A line without end is bounded, so that a file without line ends cannot fill the memory.
        while line := file.readline(_PIECE):
            number += 1
            lines.see(number, line)
    return lines


def _mixed(lines: _Lines) -> MixedEncodings:
    assert lines.first_utf8 is not None
    assert lines.first_other is not None
    fewer_are_utf8 = lines.utf8 < lines.other
    number, line = lines.first_utf8 if fewer_are_utf8 else lines.first_other
    legacy = detect_encoding(lines.sample) or "a legacy encoding"
    this, rest = ("UTF-8", legacy) if fewer_are_utf8 else (legacy, "UTF-8")
    words = line.strip().decode("utf-8", "replace")
    column = _place_in_line(line, fewer_are_utf8=fewer_are_utf8)
    return MixedEncodings(
        f"Line {number} is written in {this}, other lines in {rest}: “{words[:80]}”. "
        "Save the whole file in one encoding, best UTF-8.",
        line=number,
        row=number - 1,
        column=column,
    )


def _place_in_line(line: bytes, *, fewer_are_utf8: bool) -> str:
    """Name the cell of the first character that does not fit, by counting likely delimiters."""
    if fewer_are_utf8:
        at = next(place for place, byte in enumerate(line) if byte >= 0x80)
    else:
        try:
            line.decode()
            at = 0
        except UnicodeDecodeError as error:
            at = error.start
    delimiter = max(b",;\t|", key=line.count)
    return f"column {line[:at].count(delimiter) + 1}"
