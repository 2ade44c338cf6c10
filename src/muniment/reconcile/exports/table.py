"""What is exported: columns of a type each, and rows that come in batches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias


class What(StrEnum):
    """What of a reconciliation is exported."""

    MATCHES = "matches"
    """Pairs that hold or wait for review."""
    REVIEW = "review"
    """Pairs that wait for review, with all cells of both records."""
    UNMATCHED = "unmatched"
    """Records in no match that holds, with all their cells."""
    GOLDEN = "golden"


class ExportFormat(StrEnum):
    """Files that can be had."""

    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"


class Kind(StrEnum):
    """What the cells of a column are; any may be None."""

    TEXT = "text"
    WHOLE = "whole"
    NUMBER = "number"
    MONEY = "money"
    """A `Decimal`."""


class ExportColumn(NamedTuple):
    """A column of a file."""

    name: str
    kind: Kind = Kind.TEXT


Rows: TypeAlias = list[Sequence[object]]


class Table(NamedTuple):
    """A file to be."""

    columns: list[ExportColumn]
    batches: AsyncIterator[Rows]
    """Each is read from the database when the one before it was taken."""


def with_sources(heads: Sequence[ExportColumn], names: Iterable[str]) -> list[ExportColumn]:
    """Return our columns, then text columns of the source; no two are called the same.

    A source column whose name is taken is given a number: `id (2)`.
    """
    columns = list(heads)
    taken = {column.name for column in columns}
    for name in names:
        free, number = name, 1
        while free in taken:
            number += 1
            free = f"{name} ({number})"
        taken.add(free)
        columns.append(ExportColumn(free))
    return columns
