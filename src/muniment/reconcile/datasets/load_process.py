"""Loading in a process of its own: files in; Parquet, records and what is known of them out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from muniment.errors import MunimentError
from muniment.processes.reporter import Reporter
from muniment.reconcile.columns import ROW, Column, ColumnType, Dataset, Override, Role
from muniment.reconcile.datasets.stored import StoredDataset, storable
from muniment.reconcile.loading.errors import DatasetUnreadable
from muniment.reconcile.loading.load import load_parts, reload
from muniment.reconcile.loading.options import LoadOptions
from muniment.reconcile.loading.parts import Part
from muniment.reconcile.loading.query import QueryLimits, load_query
from muniment.reconcile.preview import preview
from muniment.reconcile.record_ids import key_of, record_ids

PREVIEW_ROWS: Final = 50
RECORDS: Final = "records.parquet"
IDS: Final = "ids"
BATCH: Final = 5_000
"""Records that are written in one statement."""

_LONGEST_SHOWN: Final = 500
_SCHEMA: Final = pa.schema(
    [
        ("record_id", pa.binary(16)),
        ("row", pa.int64()),
        ("identifier", pa.string()),
        ("original", pa.string()),
        ("amount", pa.string()),
        ("currency", pa.string()),
        ("dated", pa.date32()),
    ]
)


class ToRead(msgspec.Struct, frozen=True):
    """A file of records, or a query, and what somebody said of how to read it."""

    name: str
    path: Path | None = None
    sql: str | None = None
    dsn: str | None = None
    """Where a query is asked; a secret."""
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None


class ToLoad(msgspec.Struct, frozen=True):
    """What to load, and into which folder."""

    name: str
    given: list[ToRead]
    """One after the other; none where only columns are decided anew."""
    before: StoredDataset | None
    """What is added to: of the dataset as it is, the originals count."""
    overrides: dict[str, Override]
    folder: Path
    namespace: UUID | None
    """Of the ids of records; None for evidence, which has none in the database."""
    key_column: str | None
    key_known: bool
    """Whether `key_column` is what named the records so far, also if it is None."""
    max_bytes: int


class Failure(msgspec.Struct, frozen=True):
    """Why nothing was loaded."""

    code: str
    detail: str
    faults: list[dict[str, Any]]

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Return what people are told of an error; of an unexpected one only its class."""
        if isinstance(error, MunimentError):
            return cls(error.code, error.detail, [])
        return cls("unexpected_error", type(error).__name__, [])


class Loaded(msgspec.Struct, frozen=True):
    """What was loaded, or why nothing was."""

    failure: Failure | None = None
    dataset: StoredDataset | None = None
    preview: dict[str, Any] = {}
    key_column: str | None = None


def namespace_of(reconciliation_id: UUID, side: str) -> UUID:
    """Return what makes the ids of the records of a side its own."""
    return uuid5(reconciliation_id, side)


def load_files(to_load: ToLoad, report: Reporter) -> Loaded:
    """Load files into `folder`: originals.parquet, cleaned.parquet, the records and their ids.

    Raises:
        NoRoomForDataset: the disk is full.
        OSError: a file cannot be read at the moment.
    """
    try:
        dataset = _loaded(to_load)
    except DatasetUnreadable as error:
        return Loaded(Failure(error.code, error.detail, storable(error.errors)))
    report(0, dataset.rows)
    key = _key(dataset, to_load)
    if to_load.namespace is not None:
        _write_records(dataset, to_load.folder, to_load.namespace, key)
    assert dataset.originals is not None
    assert dataset.cleaned is not None
    shown = preview(dataset, PREVIEW_ROWS)
    return Loaded(
        dataset=StoredDataset(
            dataset.name,
            dataset.rows,
            storable(list(dataset.notes)),
            storable([msgspec.to_builtins(column) for column in dataset.columns]),
            dataset.originals,
            dataset.cleaned,
        ),
        preview=storable({"originals": _short(shown.originals), "cleaned": _short(shown.cleaned)}),
        key_column=key,
    )


def _loaded(to_load: ToLoad) -> Dataset:
    options = LoadOptions(max_bytes=to_load.max_bytes)
    parts = [
        _part(one, at, to_load.folder, to_load.max_bytes) for at, one in enumerate(to_load.given)
    ]
    if to_load.before is not None:
        # Strings as they stood in the source: read again as if they came from it.
        parts.insert(0, Part(to_load.before.originals, to_load.name))
    folder = to_load.folder / "dataset"
    dataset = load_parts(parts, name=to_load.name, folder=folder, options=options)
    there = {column.name for column in dataset.columns}
    overrides = {name: one for name, one in to_load.overrides.items() if name in there}
    # Of another file the columns that somebody decided may be missing; those are left alone.
    return reload(dataset, overrides) if overrides else dataset


def _part(one: ToRead, at: int, folder: Path, max_bytes: int) -> Part:
    path = one.path
    if one.sql is not None and one.dsn is not None:
        path = folder / f"query-{at}.parquet"
        asyncio.run(load_query(one.dsn, one.sql, path, QueryLimits(bytes=max_bytes)))
    assert path is not None
    options = LoadOptions(
        delimiter=one.delimiter, encoding=one.encoding, sheet=one.sheet, max_bytes=max_bytes
    )
    return Part(path, one.name, options)


def _key(dataset: Dataset, to_load: ToLoad) -> str | None:
    names = {column.name for column in dataset.columns}
    if to_load.key_known and (to_load.key_column is None or to_load.key_column in names):
        return to_load.key_column
    return key_of(dataset)


def _short(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: one[:_LONGEST_SHOWN] if isinstance(one, str) else one for name, one in row.items()}
        for row in rows
    ]


def _write_records(dataset: Dataset, folder: Path, namespace: UUID, key: str | None) -> None:
    ids = record_ids(dataset, namespace, key)
    _write_sorted(ids, folder / IDS)
    told = _Told(dataset)
    with pq.ParquetWriter(folder / RECORDS, _SCHEMA, compression="zstd") as writer:
        start = 0
        for originals, cleaned in _both(dataset, told.names):
            size = originals.num_rows
            batch = pa.record_batch(
                [
                    ids.slice(start, size),
                    cleaned.column(ROW),
                    told.identifiers(originals),
                    _json(originals),
                    *told.money_and_day(cleaned),
                ],
                schema=_SCHEMA,
            )
            writer.write_batch(batch)
            start += size


def _write_sorted(ids: pa.FixedSizeBinaryArray, path: Path) -> None:
    """Write ids in the order in which the database sorts them, 16 bytes each."""
    data = np.frombuffer(ids.buffers()[1], ">u8", len(ids) * 2, ids.offset * 16).reshape(-1, 2)
    data[np.lexsort((data[:, 1], data[:, 0]))].tofile(path)


def _both(dataset: Dataset, names: list[str]) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield the originals and some cleaned columns of the same rows, some thousand at a time."""
    assert dataset.originals is not None
    assert dataset.cleaned is not None
    with pq.ParquetFile(dataset.originals) as originals, pq.ParquetFile(dataset.cleaned) as cleaned:
        yield from zip(
            _even(originals.iter_batches(BATCH), BATCH),
            _even(cleaned.iter_batches(BATCH, columns=[ROW, *names]), BATCH),
            strict=True,
        )


def _even(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    """Yield batches of equal sizes, whatever row groups the file has."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            part = batch.slice(start, size - count)
            held.append(part)
            count += part.num_rows
            start += part.num_rows
            if count == size:
                yield pa.Table.from_batches(held).combine_chunks().to_batches()[0]
                held, count = [], 0
    if held:
        yield pa.Table.from_batches(held).combine_chunks().to_batches()[0]


def _json(originals: pa.RecordBatch) -> pa.Array:
    """Return the cells of each record as JSON, those that are empty left out."""
    names = [name.replace("\0", "") for name in originals.schema.names]
    columns = [pc.replace_substring(column, "\0", "").to_pylist() for column in originals.columns]
    encode = msgspec.json.encode
    rows = zip(*columns, strict=True)
    return pa.array(
        [
            encode({name: one for name, one in zip(names, row, strict=True) if one}).decode()
            for row in rows
        ],
        pa.string(),
    )


class _Told:
    """Which columns tell the identifier, the amount, its currency and the day of a record."""

    def __init__(self, dataset: Dataset) -> None:
        self._identifier = dataset.identifier()
        self._amount = _first(dataset, Role.amount, ColumnType.decimal, ColumnType.integer)
        self._day = _first(dataset, Role.date, ColumnType.date)
        columns = [self._amount, self._day]
        self.names = [column.name for column in columns if column is not None]
        self._unit = None if self._amount is None else self._amount.unit
        if self._unit is not None:
            self.names.append(self._unit)

    def identifiers(self, originals: pa.RecordBatch) -> pa.Array:
        """Return what people know the records by, as it stands in the source."""
        if self._identifier is None:
            return pa.nulls(originals.num_rows, pa.string())
        return pc.replace_substring(originals.column(self._identifier.name), "\0", "")

    def money_and_day(self, cleaned: pa.RecordBatch) -> list[pa.Array]:
        """Return amounts and currencies as text, and days."""
        size = cleaned.num_rows
        nothing = pa.nulls(size, pa.string())
        amounts = currencies = nothing
        if self._amount is not None:
            amounts = pc.cast(cleaned.column(self._amount.name), pa.string())
            if self._unit is not None:
                currencies = pc.utf8_upper(pc.cast(cleaned.column(self._unit), pa.string()))
            elif self._amount.currency is not None:
                currencies = pc.if_else(pc.is_valid(amounts), self._amount.currency, nothing)
        days = pa.nulls(size, pa.date32())
        if self._day is not None:
            days = cleaned.column(self._day.name)
        return [amounts, currencies, days]


def _first(dataset: Dataset, role: Role, *types: ColumnType) -> Column | None:
    return next((column for column in dataset.of_role(role) if column.type in types), None)
