"""Merging what a run has found into the matches, and the clusters that follow from it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from muniment.db import UnitOfWork, load_statements
from muniment.reconcile.clusters import carry_over, components, successors
from muniment.reconcile.counted import count_first
from muniment.reconcile.golden.following import follow_clusters
from muniment.reconcile.runs.compare_process import batches_of
from muniment.reconcile.runs.schemas import RunCounts

_statements = load_statements("muniment.reconcile.runs")

_BATCH = 2_000
_PAGE = 10_000
_FIRST = UUID(int=0)


async def merge_matches(
    work: UnitOfWork,
    reconciliation_id: UUID,
    run_id: UUID,
    matches: Path,
    datasets: Mapping[str, UUID],
) -> RunCounts:
    """Let the matches be what a run has found, with the decisions that people took.

    Decisions are never touched, whether they were taken before the run or while it was under
    way. A match has a new version only if what was found of it changed.

    Args:
        work: a transaction that holds the reconciliation.
        reconciliation_id: whose matches.
        run_id: the run.
        matches: file that the run wrote.
        datasets: the datasets `left` and, unless it was compared with itself, `right`.
    """
    added = changed = removed = 0
    left = datasets["left"]
    right = datasets.get("right", left)
    batches = batches_of(matches, _BATCH)
    while (batch := await asyncio.to_thread(_next, batches)) is not None:
        row = await _statements.put_matches(
            work,
            reconciliation_id=reconciliation_id,
            run_id=run_id,
            left_dataset_id=left,
            right_dataset_id=right,
            **batch,
        )
        added += row["added"]
        changed += row["changed"]
    await count_first(work)
    after: UUID | None = _FIRST
    while after is not None:
        row = await _statements.remove_matches(
            work,
            reconciliation_id=reconciliation_id,
            run_id=run_id,
            after=after,
            limit=_PAGE,
        )
        removed += row["removed"]
        after = row["last"]
    await _statements.unfind_matches(work, reconciliation_id=reconciliation_id, run_id=run_id)
    rows = await _statements.count_statuses(work, reconciliation_id=reconciliation_id)
    statuses = {row["status"]: row["count"] for row in rows}
    return RunCounts(added, changed, removed, statuses)


def _next(batches: Iterator[dict[str, list[Any]]]) -> dict[str, list[Any]] | None:
    return next(batches, None)


async def merge_clusters(
    work: UnitOfWork, reconciliation_id: UUID, datasets: Mapping[str, UUID]
) -> None:
    """Put records into the clusters that follow from all matches that hold; ids carry over."""
    holding: list[tuple[bool, float, UUID, UUID]] = []
    apart: list[tuple[UUID, UUID]] = []
    after: UUID | None = _FIRST
    while after is not None:
        rows = await _statements.holding_pairs(
            work, reconciliation_id=reconciliation_id, after=after, limit=_PAGE
        )
        for _id, left, right, status, confidence in rows:
            if status == "rejected":
                apart.append((left, right))
            else:
                holding.append((status == "accepted", confidence, left, right))
        after = rows[-1]["match_id"] if len(rows) == _PAGE else None
    former: dict[UUID, UUID] = {}
    dataset_of: dict[UUID, UUID] = {}
    for dataset_id in datasets.values():
        found = await _clustered(work, dataset_id)
        former |= found
        dataset_of |= dict.fromkeys(found, dataset_id)
    await _add_namesakes(work, datasets, former, dataset_of)
    # Records that nothing joined so far are clusters of their own, which bear their ids.
    for _accepted, _confidence, left, right in holding:
        for record_id, side in ((left, "left"), (right, "right")):
            former.setdefault(record_id, record_id)
            dataset_of.setdefault(record_id, datasets.get(side, datasets["left"]))
    moved = await asyncio.to_thread(_moved, former, holding, apart)
    await _move(work, moved, dataset_of)
    gone = await asyncio.to_thread(successors, former, former | moved)
    await follow_clusters(work, reconciliation_id, gone)


async def _clustered(work: UnitOfWork, dataset_id: UUID) -> dict[UUID, UUID]:
    found: dict[UUID, UUID] = {}
    after: UUID | None = _FIRST
    while after is not None:
        rows = await _statements.clustered_records(
            work, dataset_id=dataset_id, after=after, limit=_PAGE
        )
        found.update((row["record_id"], row["cluster_id"]) for row in rows)
        after = rows[-1]["record_id"] if len(rows) == _PAGE else None
    return found


async def _add_namesakes(
    work: UnitOfWork,
    datasets: Mapping[str, UUID],
    former: dict[UUID, UUID],
    dataset_of: dict[UUID, UUID],
) -> None:
    """Add the records after which clusters are called: they are members too."""
    ids = sorted(set(former.values()))
    for dataset_id in datasets.values():
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            rows = await _statements.records_of_ids(
                work, dataset_id=dataset_id, first=part[0], last=part[-1], record_ids=part
            )
            for row in rows:
                former[row["record_id"]] = row["record_id"]
                dataset_of[row["record_id"]] = dataset_id


def _moved(
    former: Mapping[UUID, UUID],
    holding: list[tuple[bool, float, UUID, UUID]],
    apart: list[tuple[UUID, UUID]],
) -> dict[UUID, UUID]:
    """Return the new cluster of each record that is to be moved."""
    # Equally sure pairs in one order, so that every run joins the same ones.
    surest_first = sorted(holding, key=lambda one: (not one[0], -one[1], one[2].int, one[3].int))
    pairs = [(left, right) for _accepted, _confidence, left, right in surest_first]
    now = carry_over(components(list(former), pairs, apart), former)
    return {record: cluster for record, cluster in now.items() if cluster != former[record]}


async def _move(
    work: UnitOfWork, moved: Mapping[UUID, UUID], dataset_of: Mapping[UUID, UUID]
) -> None:
    by_dataset: dict[UUID, list[UUID]] = {}
    # In their order, so that each batch reads a range of the records of its own.
    for record_id in sorted(moved):
        by_dataset.setdefault(dataset_of[record_id], []).append(record_id)
    for dataset_id, record_ids in by_dataset.items():
        for start in range(0, len(record_ids), _BATCH):
            part = record_ids[start : start + _BATCH]
            await _statements.move_records(
                work,
                dataset_id=dataset_id,
                first=part[0],
                last=part[-1],
                record_ids=part,
                cluster_ids=[moved[record_id] for record_id in part],
            )
