"""Which rows of a grid are its header, and what its columns are called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from muniment.reconcile.inference.formats import looks_like_data
from muniment.reconcile.inference.words import hinted_roles
from muniment.reconcile.loading.errors import DuplicateHeader, EmptyDataset

_LOOKED_AT: Final = 60
"""Rows from the top that decide; a preamble is shorter than that."""

_SEPARATOR_LINE: Final = re.compile(r"^sep=.?$", re.IGNORECASE)
_SPACES: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a grid of cells."""

    names: tuple[str, ...]
    skipped: int
    """Rows before the first record, the header among them."""
    places: tuple[int, ...]
    """For each name the 0-based cell that holds its values: columns without name and value
    are left out."""
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Cells that a record may have."""
        return self.places[-1] + 1 if self.places else 0


def find_header(rows: Sequence[Sequence[str | None]]) -> Header:
    """Find the header among the first rows of a grid.

    Rows before it (blank ones, a title over the whole width, a few lines of 'Account: 123') are
    left out. Two header rows, the upper one with groups that span columns, become one. A grid
    whose first row is data like the rows below has no header: its columns are numbered.

    Raises:
        EmptyDataset: no cell holds anything.
        DuplicateHeader: two columns have the same name.
    """
    head = [[_tidy(cell) for cell in row] for row in rows[:_LOOKED_AT]]
    start = _first_of_table(head)
    if start is None:
        raise EmptyDataset("The file holds no records: every cell is empty.")
    notes = []
    if start:
        notes.append(f"{start} row{'s' * (start > 1)} before the header left out")
    body = [row for row in head[start + 1 :] if any(row)]
    if _is_data(head[start], body):
        width = max(len(row) for row in [head[start], *body])
        names = tuple(f"column {place + 1}" for place in range(width))
        notes.append("no header: the first row is data like the others, columns are numbered")
        return Header(names, start, tuple(range(width)), tuple(notes))
    labels, rows_used = head[start], 1
    if body and _is_group_row(head[start]) and len(body) > 1 and _is_label_row(body[0], body[1:]):
        labels, rows_used = _joined(head[start], body[0]), 2
        notes.append("two header rows joined into one")
    names, places, more = _named(labels, body[rows_used - 1 :], start + rows_used)
    return Header(names, start + rows_used, places, (*notes, *more))


def _tidy(cell: str | None) -> str:
    return _SPACES.sub(" ", cell).strip() if cell else ""


def _filled(row: Sequence[str]) -> int:
    return sum(bool(cell) for cell in row)


def _first_of_table(head: list[list[str]]) -> int | None:
    """Return the first row that is as wide as the table: titles and remarks are narrower."""
    filled = [_filled(row) for row in head]
    if head and head[0] and _SEPARATOR_LINE.match("".join(head[0])):
        filled[0] = 0  # `sep=;` tells Excel the delimiter
    if not any(filled):
        return None
    widths = Counter(count for count in filled if count)
    # The usual number of filled cells; records with gaps make it vary, so the larger of equals.
    usual = max(widths, key=lambda width: (widths[width], width))
    for place, count in enumerate(filled):
        # More than half of the usual width is a header that misses names, not a remark.
        if count and (count * 2 > usual or usual <= 2):
            return place
    return next(place for place, count in enumerate(filled) if count)


def _is_data(first: list[str], body: list[list[str]]) -> bool:
    """Return whether the first row is a record: its cells are data where the rows below have data.

    Years as headers (`country, 1999, 2000`) are not: there a cell is text above numbers or names
    the column in words.
    """
    if any(hinted_roles(cell) for cell in first) or not body:
        return False
    same = other = 0
    for place, cell in enumerate(first):
        below = [row[place] for row in body if place < len(row) and row[place]]
        if not below:
            continue
        data_below = sum(looks_like_data(value) for value in below) / len(below)
        if data_below > 0.9:
            same += looks_like_data(cell)
            other += bool(cell) and not looks_like_data(cell)
        elif cell and below.count(cell) * 20 > len(below) > 20:
            # A word that stands below again and again is a value of a category.
            same += 1
    return same > 0 and other == 0


def _is_group_row(row: list[str]) -> bool:
    """Return whether a row has gaps after its cells, as cells merged over columns leave."""
    return 0 < _filled(row) < len(row) and bool(row[-1] == "" or "" in row[:-1])


def _is_label_row(row: list[str], below: list[list[str]]) -> bool:
    """Return whether a row under a first header row is a second one: words above data."""
    if any(looks_like_data(cell) for cell in row if cell) or _filled(row) < 2:
        return False
    for place, cell in enumerate(row):
        column = [other[place] for other in below if place < len(other) and other[place]]
        if cell and column and sum(map(looks_like_data, column)) > len(column) * 0.9:
            return True
    return False


def _joined(groups: list[str], labels: list[str]) -> list[str]:
    """Join two header rows: a group's name goes before each label up to the next group."""
    joined, group = [], ""
    for place in range(max(len(groups), len(labels))):
        above = groups[place] if place < len(groups) else ""
        below = labels[place] if place < len(labels) else ""
        group = above or (group if below else "")
        joined.append(" ".join(part for part in (group, below) if part))
    return joined


def _named(
    labels: list[str], body: list[list[str]], line: int
) -> tuple[tuple[str, ...], tuple[int, ...], list[str]]:
    names: list[str] = []
    places: list[int] = []
    notes: list[str] = []
    seen: dict[str, int] = {}
    width = len(labels)
    while width and not labels[width - 1]:
        # A sign at the end of each line makes a last column without name and value.
        if any(len(row) >= width and row[width - 1] for row in body):
            break
        width -= 1
    for place, label in enumerate(labels[:width]):
        name = label or f"column {place + 1}"
        if not label:
            notes.append(f"column {place + 1} has no name")
        if name in seen:
            raise DuplicateHeader(
                f"Columns {seen[name] + 1} and {place + 1} are both called “{name}”. "
                "Give each column a name of its own.",
                row=0,
                column=name,
                line=line,
            )
        seen[name] = place
        names.append("row (2)" if name == "row" else name)
        places.append(place)
    return tuple(names), tuple(places), notes
