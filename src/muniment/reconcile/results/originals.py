"""Cells of records as they stand in the source, many at a time."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from muniment.reconcile.columns import Dataset


class Identifiers:
    """What the records of a dataset are called: the values of its identifier column."""

    def __init__(self, dataset: Dataset) -> None:
        """Read the column; one column of a million records takes some ten megabytes."""
        column = dataset.identifier()
        self.column = None if column is None else column.name
        """None: no column names the records."""
        self._values = None if self.column is None else _original_column(dataset, self.column)

    def of(self, rows: Sequence[int]) -> list[str | None]:
        """Return the identifiers of 1-based rows, None where there is none."""
        if self._values is None:
            return [None] * len(rows)
        found: list[str | None] = self._values.take(pa.array(rows, pa.int64())).to_pylist()
        return found


def _original_column(dataset: Dataset, name: str) -> pa.Array:
    """Return a column as strings, with one null in front so that rows count from 1."""
    if dataset.originals is None:
        values = dataset.values(name).cast(pa.string())
    else:
        values = pq.read_table(dataset.originals, columns=[name])[name]
    # Chunks of large_string: all of them together may have more than 2 GiB.
    chunks = [chunk.cast(pa.large_string()) for chunk in values.chunks]
    return pa.concat_arrays([pa.nulls(1, pa.large_string()), *chunks])
