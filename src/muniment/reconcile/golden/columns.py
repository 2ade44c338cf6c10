"""The columns of golden records: those of one dataset, or of two, the paired ones once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

LEFT, RIGHT = "left", "right"


class GoldenColumn(NamedTuple):
    """A column of golden records, and where its values are from."""

    name: str
    sources: Mapping[str, Sequence[str]]
    """By side the columns of the dataset, the first that has a value counts."""
    date_formats: Mapping[str, str]
    """By side how the dates are written, where it is a column of dates."""

    def value(self, side: str, original: Mapping[str, str]) -> str | None:
        """Return what a record of a side has in this column."""
        for name in self.sources.get(side, ()):
            value = original.get(name)
            if value is not None and value.strip():
                return value
        return None


def golden_columns(
    columns: Mapping[str, Sequence[Mapping[str, Any]]] | None,
    compared: Sequence[Mapping[str, str]] | None,
) -> list[GoldenColumn]:
    """Return the columns: those of the left dataset, then those of the right one without partner.

    Args:
        columns: stored descriptions of the datasets' columns, by side.
        compared: which left column the last run compared with which right one. A right column
            goes with the first one that it was compared with. One that has no partner and a name
            that is taken is given a suffix.
    """
    mine = list((columns or {}).get(LEFT, ()))
    theirs = list((columns or {}).get(RIGHT, ()))
    names = {column["name"] for column in mine}
    partner: dict[str, str] = {}
    for pair in compared or ():
        if pair["left"] in names:
            partner.setdefault(pair["right"], pair["left"])
    by_name = {column["name"]: column for column in theirs}
    found = []
    for column in mine:
        joined = [name for name, left in partner.items() if left == column["name"]]
        joined = [name for name in joined if name in by_name]
        sources = {LEFT: [column["name"]], RIGHT: joined}
        described = {LEFT: column} | ({RIGHT: by_name[joined[0]]} if joined else {})
        formats = _formats(described)
        found.append(GoldenColumn(column["name"], sources, formats))
    taken = set(names)
    for column in theirs:
        if column["name"] not in partner:
            name = _free(column["name"], taken)
            taken.add(name)
            found.append(GoldenColumn(name, {RIGHT: [column["name"]]}, _formats({RIGHT: column})))
    return found


def _formats(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {
        side: column["date_format"] or ""
        for side, column in columns.items()
        if column.get("type") == "date" and "date_format" in column
    }


def _free(name: str, taken: set[str]) -> str:
    found, number = name, 1
    while found in taken:
        found = f"{name} (right)" if number == 1 else f"{name} (right {number})"
        number += 1
    return found
