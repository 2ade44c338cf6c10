"""Parquet files: their columns as strings, row group by row group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from muniment.reconcile.loading.errors import DatasetUnreadable, DuplicateHeader, HeaderOnly
from muniment.reconcile.loading.staging import Staged, StringColumns


def stage_parquet(path: Path, target: Path) -> Staged:
    """Write the columns of a Parquet file as strings that read back as the same values.

    Raises:
        DatasetUnreadable: the file is damaged.
        DuplicateHeader, HeaderOnly
    """
    try:
        source = pq.ParquetFile(path)
        schema = source.schema_arrow
        names = [" ".join(name.split()) or f"column {n}" for n, name in enumerate(schema.names, 1)]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise DuplicateHeader(
                    f"Columns {names.index(name) + 1} and {place + 1} are both called “{name}”.",
                    row=0,
                    column=name,
                )
        names = ["row (2)" if name == "row" else name for name in names]
        writer = StringColumns(target, names)
        try:
            for batch in source.iter_batches(batch_size=65_536):
                arrays = [_strings(column) for column in batch.columns]
                writer.add_batch(pa.record_batch(arrays, names=names))
        finally:
            writer.close()
    except (pa.ArrowException, OSError) as error:
        raise DatasetUnreadable(f"The Parquet file cannot be read: {error}") from error
    if not writer.rows:
        raise HeaderOnly("The file has columns and no rows.", row=1, column=names[0])
    return Staged(target, tuple(names), writer.rows, ("Parquet",))


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
