"""What a dataset is to the rest of the room: cleaned, typed columns, each with a role.

The shape of the table, by type:

========== ================== ==============================================================
type       Arrow type         value
========== ================== ==============================================================
text       string             cleaned (see `cleanings`); the original is `Dataset.original`
integer    int64              counts, years, house numbers: anything whole that is no amount
number     double             measurements
decimal    decimal128(18, s)  money, exact; `s` is the most decimal places seen in the column
date       date32             days; a time of day is dropped by the cleaning, not in the original
boolean    bool_              yes and no, in the spellings of several languages
========== ================== ==============================================================

Eighteen digits fit an int64, so `Dataset.minor_units` is exact and free of objects. An empty
cell is null in every type. Column `row` (int64, not null, first) is the 1-based number of the
record in its source: 1 is the first record after the header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Meta, Struct

ROW: Final = "row"
"""Name of the column with the 1-based number of the record; a source column called so becomes
``row (2)``."""

DECIMAL_DIGITS: Final = 18
"""Digits of a decimal column: what an int64 surely holds."""


GROUP: Final = 65_536
"""Rows that are held in memory at a time, of a table that is not wide."""

_CELLS_HELD: Final = 1 << 21


def rows_at_a_time(columns: int) -> int:
    """Return how many rows of so many columns are held in memory: of a wide table fewer."""
    return max(64, min(GROUP, _CELLS_HELD // max(columns, 1)))


class Role(StrEnum):
    """What a column is about; decides how its values are compared."""

    identifier = "identifier"
    """Names the record in its own dataset: (nearly) unique, of no meaning elsewhere."""
    name = "name"
    """Of a person, organization, place or work."""
    amount = "amount"
    currency = "currency"
    date = "date"
    reference = "reference"
    """A code that may stand in the other dataset too: invoice, order, customer, tax number."""
    address = "address"
    """A street address or a part of one: town, postal code, country."""
    free_text = "free_text"
    category = "category"
    """One of few values."""
    phone = "phone"
    email = "email"
    number = "number"
    """A quantity that is no amount of money, a year, a house number."""


class ColumnType(StrEnum):
    """How values are held; see the table above."""

    text = "text"
    integer = "integer"
    number = "number"
    decimal = "decimal"
    date = "date"
    boolean = "boolean"


class TextCleaning(StrEnum):
    """What is done to the values of a column of text, and what may be left undone by `Override`.

    Numbers, dates and yes-or-no are read, not cleaned: who wants them as they stand in the source
    gives the column the type text and leaves these out.
    """

    empty_words = "empty_words"
    """Words for no value, such as NULL, are empty. Of every type, not only of text."""
    spaces = "spaces"
    entities = "entities"
    compatibility = "compatibility"
    case = "case"
    accents = "accents"
    telephone = "telephone"
    address_sign = "address_sign"


class Override(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a person decides on a column; what is left out is left to the inference.

    As JSON: `{"role": "reference", "type": "text", "without": ["case"]}`,
    `{"day_first": false}`, `{"decimal_sign": ","}`, and `{}` for nothing at all. One override
    takes the place of an earlier one of the same column as a whole.
    """

    role: Role | None = None
    type: ColumnType | None = None
    day_first: bool | None = None
    """Of dates such as 03/04/2024."""
    decimal_sign: Literal[".", ","] | None = None
    without: Annotated[tuple[TextCleaning, ...], Meta(max_length=8)] = ()
    """Cleanings that are not done."""


@dataclass(frozen=True, slots=True)
class Cleaning:
    """One thing that was done to the values of a column."""

    action: str
    """Stable name: ``spaces``, ``case``, ``accents``, ``decimal_comma``, ``parentheses`` ..."""
    description: str
    """For people: 'a comma is the decimal sign'."""
    count: int
    """Values that it changed."""
    examples: tuple[tuple[str, str], ...] = ()
    """Some of them, before and after."""


@dataclass(frozen=True, slots=True)
class OddValue:
    """A value that does not fit its column; it is null in the table."""

    row: int
    """1-based record, as in column `row`."""
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it is, why, and what was done to it."""

    name: str
    """Unique in the dataset: the header with spaces tidied."""
    type: ColumnType
    role: Role
    index: int = 0
    """0-based place in the source."""
    reason: str = ""
    """Why it has this type and role, in a sentence."""
    certainty: float = 1.0
    """Of the role: 1.0 where the values alone decide, 0.5 where it was a guess."""
    overridden: bool = False
    """True if a person decided anything on this column."""
    override: Override | None = None
    """What the person decided."""
    key_rank: float = 0.0
    """How well it names the record, to choose `Dataset.identifier` by; 0 if it does not."""
    rows: int = 0
    empty: int = 0
    odd: int = 0
    distinct: int = 0
    """Distinct values; exact up to 65,536, an estimate (1 %) above."""
    mean_length: float = 0.0
    """Characters of a value that is not empty."""
    scale: int = 0
    """Decimal places of a decimal column."""
    currency: str | None = None
    """ISO 4217 code that every value of an amount column carried."""
    unit: str | None = None
    """Name of the column that holds the currency of this amount, row by row."""
    date_format: str | None = None
    """How its dates are written, as ``%d.%m.%Y``; several joined by `` | ``."""
    cleanings: tuple[Cleaning, ...] = ()
    odd_values: tuple[OddValue, ...] = ()
    """The first of them."""

    @property
    def filled(self) -> int:
        """Values that are neither empty nor odd."""
        return self.rows - self.empty - self.odd

    @property
    def uniqueness(self) -> float:
        """Distinct values by filled ones: 1.0 for a key."""
        return min(1.0, self.distinct / self.filled) if self.filled else 0.0


@dataclass(frozen=True, eq=False)
class Dataset:
    """A loaded dataset: descriptions of its columns, and its table on demand.

    `cleaned` and `originals` are Parquet files of the same rows in the same order: the typed
    columns, and every cell as it stood in the source. A dataset made by `from_table` has its
    table in memory and no files.
    """

    name: str
    columns: tuple[Column, ...]
    rows: int
    cleaned: Path | None = None
    originals: Path | None = None
    notes: tuple[str, ...] = ()
    """What the loader decided: encoding, delimiter, sheet, rows left out."""
    owner: object = field(default=None, repr=False)
    """Whatever keeps the files alive as long as this dataset is."""
    _held: pa.Table | None = field(default=None, repr=False)

    @classmethod
    def from_table(
        cls, name: str, table: pa.Table, columns: Iterable[Column], *, notes: Sequence[str] = ()
    ) -> Dataset:
        """Describe a table that is already clean; column `row` is added where it is missing."""
        if ROW not in table.column_names:
            numbers = pa.array(np.arange(1, table.num_rows + 1, dtype=np.int64))
            table = table.add_column(0, ROW, numbers)
        return cls(name, tuple(columns), table.num_rows, notes=tuple(notes), _held=table)

    @cached_property
    def table(self) -> pa.Table:
        """All rows: `row` first, then `columns` in order. Read when first asked for."""
        if self._held is not None:
            return self._held
        assert self.cleaned is not None
        return pq.read_table(self.cleaned, memory_map=True)

    def read(self, names: Sequence[str]) -> pa.Table:
        """Return `row` and the named columns only: a wide dataset need not be read whole."""
        if self._held is not None or "table" in self.__dict__:
            return self.table.select([ROW, *names])
        assert self.cleaned is not None
        return pq.read_table(self.cleaned, columns=[ROW, *names], memory_map=True)

    def batches(self, size: int = 65_536) -> Iterable[pa.RecordBatch]:
        """Yield the rows in order, `size` at a time, without holding the others."""
        if self._held is not None:
            yield from self._held.to_batches(max_chunksize=size)
        else:
            assert self.cleaned is not None
            yield from pq.ParquetFile(self.cleaned).iter_batches(batch_size=size)

    def __getitem__(self, name: str) -> Column:
        """Return the column of that name; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def of_role(self, *roles: Role) -> tuple[Column, ...]:
        """Return the columns of these roles, in the order of the source."""
        return tuple(column for column in self.columns if column.role in roles)

    def identifier(self) -> Column | None:
        """Return the column whose values name the records, None if there is none.

        That is the column of the role identifier. Where none is unique, it is the one that comes
        closest under a header that says so (some rows of an export may be there twice, or their
        id empty): good enough to show which record is meant.
        """
        found = [c for c in self.columns if c.role is Role.identifier or c.key_rank]
        return min(
            found,
            key=lambda c: (c.role is not Role.identifier, -c.key_rank, -c.uniqueness, c.index),
            default=None,
        )

    def values(self, name: str) -> pa.ChunkedArray:
        """Return one column of the table."""
        return self.read([] if name == ROW else [name])[name]

    def minor_units(self, name: str, scale: int | None = None) -> pa.ChunkedArray:
        """Return a decimal or integer column as int64 in units of 10 ** -scale.

        Args:
            name: the column.
            scale: decimal places wanted (at least those of the column, which are the default):
                give the larger of two datasets' to compare their amounts exactly.
        """
        column = self[name]
        wanted = column.scale if scale is None else scale
        if wanted < column.scale:
            raise ValueError(f"{name} has {column.scale} decimal places, {wanted} would round it")
        values = self.values(name)
        if column.type is ColumnType.integer:
            return pc.multiply(values, pa.scalar(10**wanted, pa.int64()))
        chunks = [_unscaled(chunk, wanted - column.scale) for chunk in values.chunks]
        return pa.chunked_array(chunks, pa.int64())

    def original(self, name: str, row: int) -> str | None:
        """Return a cell as it stood in the source (None if empty); `row` is 1-based."""
        return self.original_values([name], [row])[0][name]

    def original_values(
        self, names: Sequence[str], rows: Sequence[int]
    ) -> list[dict[str, str | None]]:
        """Return the named cells of several records as they stood in the source.

        One pass over the columns asked for, in bounded memory.
        """
        if self.originals is None:
            taken = self.table.select(list(names)).take([row - 1 for row in rows])
            return [
                {name: None if value is None else str(value) for name, value in record.items()}
                for record in taken.to_pylist()
            ]
        found: dict[int, Mapping[str, Any]] = {}
        wanted = np.unique(np.asarray(rows, dtype=np.int64)) - 1
        start = 0
        for batch in pq.ParquetFile(self.originals).iter_batches(columns=list(names)):
            low, high = np.searchsorted(wanted, [start, start + batch.num_rows])
            if high > low:
                picked = batch.take(pa.array(wanted[low:high] - start)).to_pylist()
                found.update(zip(wanted[low:high].tolist(), picked, strict=True))
            start += batch.num_rows
        return [dict(found[row - 1]) for row in rows]


def _unscaled(values: pa.Array, extra: int) -> pa.Array:
    """Return decimal128 values as int64: their low words, times 10 ** extra."""
    count = len(values)
    buffer = values.buffers()[1]
    if buffer is None or not count:
        return pa.nulls(count, pa.int64())
    words: npt.NDArray[np.int64] = np.frombuffer(buffer, dtype="<i8")
    low = words[0::2][values.offset : values.offset + count] * 10**extra
    missing = np.asarray(values.is_null()) if values.null_count else None
    return pa.array(low, pa.int64(), mask=missing)
