"""Writing the records of a dataset, and telling its matches where their records are now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from muniment.db import UnitOfWork, load_statements
from muniment.reconcile.counted import count_first
from muniment.reconcile.datasets.load_process import BATCH

_statements = load_statements("muniment.reconcile.datasets")

_FIRST = UUID(int=0)
_LAST = UUID(int=2**128 - 1)
_BATCH_OF_MATCHES = 5_000


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the records of a dataset."""

    added: int
    changed: int
    """Cells of them; a record in another row is none."""
    removed: int


@dataclass(frozen=True, slots=True)
class Target:
    """The dataset that records are written into, and the version that it will have."""

    reconciliation_id: UUID
    dataset_id: UUID
    side: str
    version: int


async def write_records(
    work: UnitOfWork,
    target: Target,
    ids: Path,
    records: Path,
    written: Callable[[int], Awaitable[None]],
) -> Written:
    """Let the database hold the records of a file, and no others of the dataset.

    Those that are as they were are not written, so adding to a large dataset writes what is new.

    Args:
        work: a transaction that holds the reconciliation.
        target: the dataset.
        ids: file of the records' ids in their order, 16 bytes each.
        records: Parquet file, see `load_process`.
        written: told how many were dealt with so far.
    """
    removed = 0
    if target.version > 1:
        await _statements.rows_may_change_places(work)
        removed = await _forget(work, target, ids)
    added = changed = done = 0
    async for batch in _batches(records):
        row = await _statements.put_records(
            work,
            reconciliation_id=target.reconciliation_id,
            dataset_id=target.dataset_id,
            side=target.side,
            version=target.version,
            **batch,
        )
        added += row["added"]
        changed += row["changed"]
        done += len(batch["rows"])
        await written(done)
    await count_first(work)
    return Written(added, changed, removed)


async def _forget(work: UnitOfWork, target: Target, ids: Path) -> int:
    """Delete records that are gone, in ranges of ids: what lies in a range and was not kept."""
    removed: int = 0
    first: UUID = _FIRST
    with ids.open("rb") as file:
        kept = _ids(file.read(BATCH * 16))
        while True:
            following = _ids(file.read(BATCH * 16))
            removed += await _statements.forget_records(
                work,
                dataset_id=target.dataset_id,
                first=first,
                before=following[0] if following else _LAST,
                kept=kept,
            )
            if not following:
                return removed
            first, kept = following[0], following


def _ids(data: bytes) -> list[UUID]:
    return [UUID(bytes=data[at : at + 16]) for at in range(0, len(data), 16)]


async def _batches(path: Path) -> AsyncIterator[dict[str, list[Any]]]:
    """Yield the arguments of `put_records`, read and turned into Python's in a thread."""
    file = await asyncio.to_thread(pq.ParquetFile, path)
    try:
        batches = file.iter_batches(BATCH)
        while (batch := await asyncio.to_thread(_next, batches)) is not None:
            yield batch
    finally:
        file.close()


def _next(batches: Iterator[pa.RecordBatch]) -> dict[str, list[Any]] | None:
    batch = next(batches, None)
    if batch is None:
        return None
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    return {
        "record_ids": [UUID(bytes=one) for one in columns["record_id"].to_pylist()],
        "rows": columns["row"].to_pylist(),
        "identifiers": columns["identifier"].to_pylist(),
        "originals": columns["original"].to_pylist(),
        "amounts": columns["amount"].to_pylist(),
        "currencies": columns["currency"].to_pylist(),
        "dates": columns["dated"].to_pylist(),
    }


async def refresh_matches(work: UnitOfWork, reconciliation_id: UUID) -> None:
    """Tell all matches of a reconciliation in which rows their records are now, if anywhere."""
    rows = await _statements.datasets_of_reconciliation(work, reconciliation_id=reconciliation_id)
    datasets = {row["side"]: row["dataset_id"] for row in rows}
    left = datasets.get("left")
    after: UUID | None = _FIRST
    while after is not None:
        after = await _statements.refresh_match_rows(
            work,
            reconciliation_id=reconciliation_id,
            left_dataset_id=left,
            # The records of one dataset alone are matched with each other.
            right_dataset_id=datasets.get("right", left),
            after=after,
            limit=_BATCH_OF_MATCHES,
        )
