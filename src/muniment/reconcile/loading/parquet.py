"""Parquet files: their columns as strings, row group by row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from muniment.reconcile.columns import rows_at_a_time
from muniment.reconcile.loading.errors import (
    DatasetUnreadable,
    DuplicateHeader,
    EmptyDataset,
    HeaderOnly,
)
from muniment.reconcile.loading.staging import (
    NOTES,
    Staged,
    StringColumns,
    check_width,
)


def stage_parquet(path: Path, target: Path) -> Staged:
    """Write the columns of a Parquet file as strings that read back as the same values.

    Raises:
        DatasetUnreadable: the file is damaged.
        DuplicateHeader, HeaderOnly, TooManyColumns
    """
    try:
        source = pq.ParquetFile(path)
        schema = source.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise _damaged(error) from error
    names = unique_names(schema.names)
    writer = StringColumns(target, names)
    try:
        for batch in _batches(source):
            arrays = [_strings(column) for column in batch.columns]
            writer.add_batch(pa.record_batch(arrays, names=list(names)))
    finally:
        writer.close()
    if not writer.rows:
        raise HeaderOnly("The file has columns and no rows.", row=1, column=names[0])
    told = (schema.metadata or {}).get(NOTES, b"Parquet").decode()
    return Staged(target, names, writer.rows, (told,))


def unique_names(found: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns: without spaces around them, unlike each other.

    Raises:
        DuplicateHeader, EmptyDataset, TooManyColumns
    """
    if not found:
        raise EmptyDataset("The table has no columns.")
    check_width(len(found))
    names = [" ".join(name.split()) or f"column {n}" for n, name in enumerate(found, 1)]
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        if name in seen:
            raise DuplicateHeader(
                f"Columns {seen[name] + 1} and {place + 1} are both called “{name}”.",
                row=0,
                column=name,
            )
        seen[name] = place
    return tuple("row (2)" if name == "row" else name for name in names)


def _batches(source: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Yield the rows, some at a time; an error of reading is no error of writing."""
    batches = source.iter_batches(batch_size=rows_at_a_time(len(source.schema_arrow.names)))
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise _damaged(error) from error
        yield batch


def _damaged(error: Exception) -> DatasetUnreadable:
    return DatasetUnreadable(f"The Parquet file cannot be read: {error}")


def _strings(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _strings(values.dictionary_decode())
    if pa.types.is_timestamp(kind):
        # Midnight throughout is a date that was stored as a timestamp.
        text = pc.strftime(values, format="%Y-%m-%d %H:%M:%S")
        return pc.replace_substring_regex(text, pattern=r" 00:00:00(\.0+)?$", replacement="")
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.array([_text(value) for value in values.to_pylist()], pa.string())
    return pc.cast(values, pa.string())


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return "; ".join(_text(item) or "" for item in value)
    return str(value)
