"""What a person sees of a dataset before it is used, and decides anew by column name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pyarrow.parquet as pq

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.inference.plan import Override
from muniment.reconcile.loading.errors import DatasetUnreadable
from muniment.reconcile.loading.load import reload

ROWS: Final = 20


class CleaningShown(msgspec.Struct, frozen=True):
    """One thing that was done to a column."""

    action: str
    description: str
    count: int
    examples: list[tuple[str, str]]


class OddShown(msgspec.Struct, frozen=True):
    """A value that does not fit its column."""

    row: int
    value: str
    reason: str


class ColumnShown(msgspec.Struct, frozen=True):
    """A column with what was inferred and why."""

    name: str
    type: str
    role: str
    reason: str
    certainty: float
    overridden: bool
    empty: int
    odd: int
    distinct: int
    currency: str | None
    currency_column: str | None
    date_format: str | None
    cleanings: list[CleaningShown]
    odd_values: list[OddShown]


class Preview(msgspec.Struct, frozen=True):
    """The first rows of a dataset and what is known of its columns."""

    name: str
    rows: int
    notes: list[str]
    columns: list[ColumnShown]
    originals: list[dict[str, str | None]]
    """The first rows as they stand in the source."""
    cleaned: list[dict[str, Any]]
    """The same rows cleaned: numbers and dates as text that JSON can hold exactly."""


def preview(dataset: Dataset, rows: int = ROWS) -> Preview:
    """Return the first rows and the columns of a dataset; reads no more than the first rows."""
    names = [column.name for column in dataset.columns]
    return Preview(
        name=dataset.name,
        rows=dataset.rows,
        notes=list(dataset.notes),
        columns=[_shown(column) for column in dataset.columns],
        originals=_first_originals(dataset, names, rows),
        cleaned=[
            {name: _plain(value) for name, value in row.items()}
            for row in _first_cleaned(dataset, rows)
        ],
    )


def change(dataset: Dataset, changes: Mapping[str, Mapping[str, Any]]) -> Dataset:
    """Return the dataset with what a person decided, given by column name.

    Args:
        dataset: as it was loaded; its files are replaced.
        changes: for each column any of `role`, `type`, `day_first` (true or false) and
            `decimal_sign` (a point or a comma), as a request body has them.

    Raises:
        NoSuchColumn: a name is no column.
        DatasetUnreadable: a role or type that does not exist.
    """
    overrides = {}
    for name, wanted in changes.items():
        try:
            overrides[name] = msgspec.convert(dict(wanted), Override, strict=True)
        except msgspec.ValidationError as error:
            known = f"roles are {', '.join(Role)}; types are {', '.join(ColumnType)}"
            raise DatasetUnreadable(f"Column “{name}”: {error}; {known}.", column=name) from error
    kept = {
        column.name: Override(role=column.role, type=column.type, day_first=_day_first(column))
        for column in dataset.columns
        if column.overridden and column.name not in overrides
    }
    return reload(dataset, {**kept, **overrides})


def _day_first(column: Column) -> bool | None:
    formats = (column.date_format or "").split(" | ")
    if {"%m/%d/%Y", "%m%d%Y"} & set(formats):
        return False
    return True if {"%d.%m.%Y", "%d%m%Y"} & set(formats) else None


def _shown(column: Column) -> ColumnShown:
    return ColumnShown(
        name=column.name,
        type=column.type.value,
        role=column.role.value,
        reason=column.reason,
        certainty=column.certainty,
        overridden=column.overridden,
        empty=column.empty,
        odd=column.odd,
        distinct=column.distinct,
        currency=column.currency,
        currency_column=column.unit,
        date_format=column.date_format,
        cleanings=[
            CleaningShown(done.action, done.description, done.count, list(done.examples))
            for done in column.cleanings
        ],
        odd_values=[OddShown(odd.row, odd.value, odd.reason) for odd in column.odd_values],
    )


def _first_originals(dataset: Dataset, names: list[str], rows: int) -> list[dict[str, str | None]]:
    if dataset.originals is None:
        return dataset.original_values(names, range(1, min(rows, dataset.rows) + 1))
    with pq.ParquetFile(dataset.originals) as file:
        batch = next(file.iter_batches(batch_size=rows, columns=names), None)
    return [] if batch is None else batch.to_pylist()


def _first_cleaned(dataset: Dataset, rows: int) -> list[dict[str, Any]]:
    batch = next(iter(dataset.batches(rows)), None)
    return [] if batch is None else batch.slice(0, rows).to_pylist()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str | float):
        return value
    return str(value)
