"""Ids of records that are the same in every load of the same records.

A record whose identifier is in its cell and in no other record's is named by it. All others are
named by all that stands in them, and equal ones by their number among their equals. So an id
outlives a new order of rows or columns and rows that were added or removed; where records have
an identifier of their own, also a change of all other cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from muniment.reconcile.columns import ROW, Dataset

_BATCH: Final = 65_536

# Signs that no table holds: what joins the cells of a record to one text.
_NAME_END: Final = "\x1e"
_CELL_END: Final = "\x1f"


class KeyKind(StrEnum):
    """What the records of a dataset are named by."""

    identifier = "identifier"
    content = "content"
    """All their cells: there is no column that tells them apart."""


class _Inferred:
    """Stands for the column that `Dataset.identifier` finds."""


INFERRED: Final = _Inferred()


def key_of(dataset: Dataset) -> str | None:
    """Return the name of the column that names the records; None if there is none.

    Keep it with the first load and give it to `record_ids` with later ones: what is inferred may
    change when rows are added, and then all ids would.
    """
    column = dataset.identifier()
    return column.name if column is not None else None


def key_kind(dataset: Dataset) -> KeyKind:
    """Return what `record_ids` names the records of a dataset by."""
    return KeyKind.content if key_of(dataset) is None else KeyKind.identifier


def record_ids(
    dataset: Dataset, namespace: UUID, key: str | _Inferred | None = INFERRED
) -> pa.FixedSizeBinaryArray:
    """Return the id of each record in the order of the rows: 16 bytes each, all different.

    An id is a UUID of version 8 (RFC 9562): the first 122 free bits of SHA-256 over the
    namespace and what names the record, as it stood in the source but for spaces at the ends.
    Empty cells do not count, nor does the order of the columns.

    Args:
        dataset: as loaded.
        namespace: of the dataset, such as the id of its reconciliation and its side: the same
            record has another id elsewhere.
        key: the column that names records, None if there is none; by default what is inferred.
            A name that is no column (any more) counts as none.
    """
    column = key_of(dataset) if isinstance(key, _Inferred) else key
    names = [one.name for one in dataset.columns]
    digests: npt.NDArray[np.void] = np.zeros(dataset.rows, "V16")
    unnamed = np.ones(dataset.rows, bool)
    if column in names:
        digests, filled = _digests(_cells(dataset, [column]), dataset.rows, namespace.bytes + b"k")
        unnamed = ~filled | _repeated(digests)
    if unnamed.any():
        contents, _ = _digests(
            _joined(dataset, sorted(names)), dataset.rows, namespace.bytes + b"c", unnamed
        )
        _number(contents, unnamed)
        digests[unnamed] = contents[unnamed]
    return _uuids(digests)


def _cells(dataset: Dataset, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the original cells of some columns, without spaces at their ends."""
    if dataset.originals is None:
        table = dataset.table.drop_columns([ROW]) if ROW not in names else dataset.table
        batches: Iterator[pa.RecordBatch] = iter(
            table.select(list(names)).to_batches(max_chunksize=_BATCH)
        )
        for batch in batches:
            yield _trimmed([pc.cast(values, pa.string()) for values in batch.columns], names)
        return
    with pq.ParquetFile(dataset.originals) as file:
        for batch in file.iter_batches(batch_size=_BATCH, columns=list(names)):
            # Parquet gives columns in the order of the file, whatever order was asked for.
            yield _trimmed([batch.column(name) for name in names], names)


def _trimmed(columns: Sequence[pa.Array], names: Sequence[str]) -> pa.RecordBatch:
    nothing = pa.scalar(None, pa.string())
    bare = [pc.utf8_trim_whitespace(values) for values in columns]
    bare = [pc.if_else(pc.equal(values, ""), nothing, values) for values in bare]
    return pa.record_batch(bare, names=list(names))


def _joined(dataset: Dataset, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield for each record one text of all its filled cells with the names of their columns."""
    for batch in _cells(dataset, names):
        parts = [
            pc.binary_join_element_wise(name, values, _CELL_END, _NAME_END).fill_null("")
            for name, values in zip(names, batch.columns, strict=True)
        ]
        text = pc.binary_join_element_wise(*parts, "")
        yield pa.record_batch([text], names=["text"])


def _digests(
    batches: Iterator[pa.RecordBatch],
    rows: int,
    start: bytes,
    wanted: npt.NDArray[np.bool_] | None = None,
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.bool_]]:
    """Return a hash of each text (zeros where there is none), and which rows have one."""
    found = bytearray(rows * 16)
    filled = np.zeros(rows, bool)
    begun = sha256(start)
    row = 0
    for batch in batches:
        needed = pc.is_valid(batch.column(0)).to_numpy(zero_copy_only=False)
        if wanted is not None:
            needed = needed & wanted[row : row + batch.num_rows]
        filled[row : row + batch.num_rows] = needed
        places = np.flatnonzero(needed)
        texts = batch.column(0).filter(pa.array(needed)).to_pylist()
        for place, text in zip((places + row).tolist(), texts, strict=True):
            one = begun.copy()
            one.update(text.encode())
            found[place * 16 : place * 16 + 16] = one.digest()[:16]
        row += batch.num_rows
    return np.frombuffer(found, "V16").copy(), filled


def _repeated(digests: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Return which values stand more than once."""
    halves = digests.view("<u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    sorted_halves = halves[order]
    same = np.zeros(len(order) + 1, bool)
    same[1:-1] = (sorted_halves[1:] == sorted_halves[:-1]).all(axis=1)
    repeated = np.zeros(len(order), bool)
    repeated[order] = same[:-1] | same[1:]
    return repeated


def _number(digests: npt.NDArray[np.void], among: npt.NDArray[np.bool_]) -> None:
    """Make equal hashes different by their number among their equals, the first as it is."""
    places = np.flatnonzero(_repeated(digests) & among)
    seen: dict[bytes, int] = {}
    for place in places.tolist():
        digest = digests[place].tobytes()
        seen[digest] = number = seen.get(digest, -1) + 1
        if number:
            fresh = sha256(digest + number.to_bytes(8, "big")).digest()[:16]
            digests[place] = np.void(fresh)


def _uuids(digests: npt.NDArray[np.void]) -> pa.FixedSizeBinaryArray:
    """Return hashes with the version and the variant of a UUID set in them."""
    data = digests.view(np.uint8).reshape(-1, 16).copy()
    data[:, 6] = (data[:, 6] & 0x0F) | 0x80
    data[:, 8] = (data[:, 8] & 0x3F) | 0x80
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(data), [None, pa.py_buffer(data.tobytes())]
    )
