"""What a person sees of a dataset before it is used, and decides anew by column name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pyarrow.parquet as pq

from muniment.reconcile.columns import (
    Column,
    ColumnType,
    Dataset,
    Override,
    Role,
    TextCleaning,
)
from muniment.reconcile.loading.errors import DatasetUnreadable, NoSuchColumn
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
    override: Override | None
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
        columns=[shown(column) for column in dataset.columns],
        originals=_first_originals(dataset, names, rows),
        cleaned=[
            {name: _plain(value) for name, value in row.items()}
            for row in _first_cleaned(dataset, rows)
        ],
    )


def change(dataset: Dataset, changes: Mapping[str, Override | Mapping[str, Any] | None]) -> Dataset:
    """Return the dataset with what a person decided, given by column name.

    Decisions on other columns stay. Nothing is lost: the originals are cleaned anew, so that
    any change can be taken back.

    Args:
        dataset: as it was loaded; its cleaned file is replaced.
        changes: for each column an `Override`, or one as a request body has it; None leaves the
            column to the inference again.

    Raises:
        NoSuchColumn: a name is no column.
        DatasetUnreadable: a role, a type or a cleaning that does not exist.
    """
    overrides = {
        column.name: column.override for column in dataset.columns if column.override is not None
    }
    for name, wanted in changes.items():
        if wanted is None:
            overrides.pop(name, None)
            _require(dataset, name)
        else:
            overrides[name] = wanted if isinstance(wanted, Override) else _read(name, wanted)
    return reload(dataset, overrides)


def _require(dataset: Dataset, name: str) -> None:
    if all(column.name != name for column in dataset.columns):
        listed = ", ".join(column.name for column in dataset.columns)
        raise NoSuchColumn(f"There is no column “{name}”; there are: {listed}.", column=name)


def _read(name: str, wanted: Mapping[str, Any]) -> Override:
    try:
        return msgspec.convert(dict(wanted), Override, strict=True)
    except msgspec.ValidationError as error:
        known = (
            f"roles are {', '.join(Role)}; types are {', '.join(ColumnType)}; "
            f"cleanings are {', '.join(TextCleaning)}"
        )
        raise DatasetUnreadable(f"Column “{name}”: {error}; {known}.", column=name) from error


def shown(column: Column) -> ColumnShown:
    """Return a column as people are shown it."""
    return ColumnShown(
        name=column.name,
        type=column.type.value,
        role=column.role.value,
        reason=column.reason,
        certainty=column.certainty,
        overridden=column.overridden,
        override=column.override,
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
