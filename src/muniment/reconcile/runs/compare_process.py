"""Comparing in a process of its own: datasets in; matches, a model and what was decided out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from muniment.processes.reporter import Reporter
from muniment.reconcile.datasets.load_process import Failure
from muniment.reconcile.datasets.stored import StoredDataset, storable
from muniment.reconcile.loading.errors import DatasetUnreadable
from muniment.reconcile.match_ids import in_order, match_id
from muniment.reconcile.matching.given import Earlier, Given
from muniment.reconcile.matching.match import Match
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.matching.splink_model.backends import Backend
from muniment.reconcile.matching.stages import find_matches
from muniment.reconcile.rules import Rules

MATCHES: Final = "matches.parquet"
MODEL: Final = "model"
SHARES: Final = 1_000
"""Parts in which progress is told."""

_BATCH: Final = 5_000
_MOST_OFFSETS: Final = 10_000
_SCHEMA: Final = pa.schema(
    [
        ("match_id", pa.binary(16)),
        ("left_record_id", pa.binary(16)),
        ("right_record_id", pa.binary(16)),
        ("left_row", pa.int64()),
        ("right_row", pa.int64()),
        ("found", pa.string()),
        ("confidence", pa.float64()),
        ("stage", pa.string()),
        ("amount", pa.string()),
        ("explanation", pa.string()),
        ("alternatives", pa.string()),
    ]
)


class Settled(msgspec.Struct, frozen=True):
    """What is not to be decided anew; large, so it comes in a file (MessagePack)."""

    given: Given
    earlier: Earlier | None


class ToCompare(msgspec.Struct, frozen=True):
    """What to compare, and into which folder."""

    reconciliation_id: UUID
    left: StoredDataset
    right: StoredDataset | None
    evidence: StoredDataset | None
    rules: Rules
    settled: Path
    left_ids: Path
    """Ids of the records in the order of their rows, 16 bytes each."""
    right_ids: Path | None
    folder: Path
    backend: Backend
    """What runs a model of Splink, where the rules ask for one."""
    splink_memory_mb: int


class Compared(msgspec.Struct, frozen=True):
    """What a run decided on the way, or why it could not be done."""

    failure: Failure | None = None
    kind: str | None = None
    threshold: float | None = None
    compared: list[dict[str, str]] = []
    offsets: list[dict[str, Any]] = []
    notes: list[str] = []
    matches: int = 0
    has_model: bool = False


def compare(to_compare: ToCompare, report: Reporter) -> Compared:
    """Find the matches of datasets and write them to `folder`, with the model if there is one.

    Raises:
        OSError: the disk is full, or a file cannot be read.
    """
    settled = msgspec.msgpack.decode(to_compare.settled.read_bytes(), type=Settled)
    right, evidence = to_compare.right, to_compare.evidence

    def progress(step: str, share: float) -> None:
        report(int(SHARES * min(max(share, 0.0), 1.0)), SHARES, step[:40])

    try:
        outcome = find_matches(
            to_compare.left.opened(),
            None if right is None else right.opened(),
            None if evidence is None else evidence.opened(),
            rules=to_compare.rules,
            given=settled.given,
            earlier=settled.earlier,
            progress=progress,
            backend=to_compare.backend,
            memory_mb=to_compare.splink_memory_mb,
        )
        count = _write_matches(outcome, to_compare)
    except DatasetUnreadable as error:
        return Compared(Failure(error.code, error.detail, storable(error.errors)))
    if outcome.model is not None:
        (to_compare.folder / MODEL).write_bytes(outcome.model)
    offsets = [msgspec.to_builtins(offset) for offset in outcome.offsets[:_MOST_OFFSETS]]
    return Compared(
        kind=outcome.kind,
        threshold=float(outcome.threshold),
        compared=storable(
            [
                {"left": left, "right": right, "role": str(role)}
                for left, right, role in outcome.compared
            ]
        ),
        offsets=offsets,
        notes=storable(list(outcome.notes)),
        matches=count,
        has_model=outcome.model is not None,
    )


def _write_matches(outcome: Outcome, to_compare: ToCompare) -> int:
    """Write each pair once, with the ids of its records, and return how many there are."""
    left = _Ids(to_compare.left_ids)
    right = left if to_compare.right_ids is None else _Ids(to_compare.right_ids)
    seen: set[tuple[int, int]] = set()
    with pq.ParquetWriter(to_compare.folder / MATCHES, _SCHEMA, compression="zstd") as writer:
        matches = iter(outcome.matches)
        while batch := list(islice(matches, _BATCH)):
            rows = [
                _row(match, to_compare.reconciliation_id, left, right)
                for match in batch
                if _once((match.left_row, match.right_row), seen)
            ]
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=_SCHEMA))
    return len(seen)


def _once(pair: tuple[int, int], seen: set[tuple[int, int]]) -> bool:
    if pair in seen:
        return False
    seen.add(pair)
    return True


class _Ids:
    """The ids of the records of a dataset by their rows."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()

    def __getitem__(self, row: int) -> UUID:
        return UUID(bytes=self._data[(row - 1) * 16 : row * 16])


def _row(match: Match, reconciliation_id: UUID, left_ids: _Ids, right_ids: _Ids) -> dict[str, Any]:
    left, right = left_ids[match.left_row], right_ids[match.right_row]
    left_row, right_row = match.left_row, match.right_row
    fields = [msgspec.to_builtins(field) for field in match.explanation]
    if left_ids is right_ids and in_order(left, right) != (left, right):
        left, right, left_row, right_row = right, left, right_row, left_row
        fields = [_turned(field) for field in fields]
    return {
        "match_id": match_id(reconciliation_id, left, right).bytes,
        "left_record_id": left.bytes,
        "right_record_id": right.bytes,
        "left_row": left_row,
        "right_row": right_row,
        "found": match.status.value,
        "confidence": min(max(float(match.confidence), 0.0), 1.0),
        "stage": match.stage,
        "amount": None if match.amount is None else str(match.amount),
        "explanation": _json(fields),
        "alternatives": _json([msgspec.to_builtins(one) for one in match.alternatives]),
    }


def _turned(field: dict[str, Any]) -> dict[str, Any]:
    return {
        **field,
        "field_left": field["field_right"],
        "field_right": field["field_left"],
        "left": field["right"],
        "right": field["left"],
    }


def _json(value: Any) -> str:
    return msgspec.json.encode(storable(value)).decode()


def batches_of(path: Path, size: int) -> Iterator[dict[str, list[Any]]]:
    """Yield the arguments of `put_matches` from a file of matches, so many at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(size):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            yield {
                "match_ids": _uuids(columns["match_id"]),
                "left_record_ids": _uuids(columns["left_record_id"]),
                "right_record_ids": _uuids(columns["right_record_id"]),
                "left_rows": columns["left_row"].to_pylist(),
                "right_rows": columns["right_row"].to_pylist(),
                "founds": columns["found"].to_pylist(),
                "confidences": columns["confidence"].to_pylist(),
                "stages": columns["stage"].to_pylist(),
                "amounts": columns["amount"].to_pylist(),
                "explanations": columns["explanation"].to_pylist(),
                "alternatives": columns["alternatives"].to_pylist(),
            }


def _uuids(column: pa.Array) -> list[UUID]:
    return [UUID(bytes=one) for one in column.to_pylist()]
