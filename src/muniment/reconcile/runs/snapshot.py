"""What a run starts from: the ids of records, people's decisions, what was found before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from muniment.db import UnitOfWork, load_statements
from muniment.reconcile.matching.given import Earlier, Given, RowPair
from muniment.reconcile.runs.compare_process import Settled

_statements = load_statements("muniment.reconcile.runs")

_FIRST = UUID(int=0)
_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Since:
    """The run that one of only new records goes on from."""

    versions: Mapping[str, int]
    """Of the datasets that it compared, by side."""
    model: bytes


async def write_ids(work: UnitOfWork, dataset_id: UUID, path: Path, *, version: int) -> list[int]:
    """Write the ids of a dataset's records in the order of their rows, 16 bytes each.

    Returns:
        Rows whose records are new or have changed since `version`.
    """
    new: list[int] = []
    after = 0
    with path.open("wb") as file:
        while True:
            rows = await _statements.records_by_row(
                work, dataset_id=dataset_id, version=version, after=after, limit=_PAGE
            )
            await asyncio.to_thread(file.write, b"".join(row["record_id"].bytes for row in rows))
            new += [row["row"] for row in rows if row["new"]]
            if len(rows) < _PAGE:
                return new
            after = rows[-1]["row"]


async def write_settled(
    work: UnitOfWork,
    reconciliation_id: UUID,
    path: Path,
    *,
    since: Since | None,
    new: Mapping[str, list[int]],
) -> None:
    """Write decisions, and for a run of only new records what was found before, to a file.

    Args:
        work: sees all as it is at one moment.
        reconciliation_id: whose.
        path: of the file.
        since: the run before; None to compare everything.
        new: rows that are new or have changed since, by side; no `right` where one dataset is
            compared with itself.
    """
    alone = "right" not in new
    given = Given()
    async for row in _pages(_statements.decided_pairs, work, reconciliation_id):
        pairs = given.accepted if row["decision"] == "accepted" else given.rejected
        pairs.append(_pair(row, alone=alone))
    earlier = None
    if since is not None:
        left = new["left"]
        right = left if alone else new["right"]
        earlier = Earlier(left, [] if alone else right, [], since.model)
        changed_left, changed_right = frozenset(left), frozenset(right)
        async for row in _pages(_statements.earlier_pairs, work, reconciliation_id):
            if row["left_row"] in changed_left or row["right_row"] in changed_right:
                continue
            one, other = _pair(row, alone=alone)
            earlier.pairs.append((one, other, row["confidence"], row["stage"]))
    settled = Settled(given, earlier)
    await asyncio.to_thread(path.write_bytes, msgspec.msgpack.encode(settled))


def _pair(row: asyncpg.Record, *, alone: bool) -> RowPair:
    left, right = row["left_row"], row["right_row"]
    return (right, left) if alone and right < left else (left, right)


async def _pages(
    statement: Any, work: UnitOfWork, reconciliation_id: UUID
) -> AsyncIterator[asyncpg.Record]:
    after: UUID | None = _FIRST
    while after is not None:
        rows = await statement(work, reconciliation_id=reconciliation_id, after=after, limit=_PAGE)
        for row in rows:
            yield row
        after = rows[-1]["match_id"] if len(rows) == _PAGE else None
