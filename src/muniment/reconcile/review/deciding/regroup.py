"""After decisions: the clusters of the records concerned, and of no others, made right."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from muniment.db import UnitOfWork, load_statements
from muniment.reconcile.clusters import carry_over, components, successors
from muniment.reconcile.golden.following import follow_clusters
from muniment.reconcile.review.schemas import Status

_statements = load_statements("muniment.reconcile.review.deciding")

_QUICK = 2000
"""Records whose clusters are made in about 10 ms, which the event loop can wait for."""


async def regroup(
    work: UnitOfWork,
    reconciliation_id: UUID,
    dataset_ids: Sequence[UUID],
    record_ids: Iterable[UUID],
) -> None:
    """Put the records, and whatever hangs together with them, into the clusters that hold now.

    The reconciliation is held (`hold_reconciliation`). In nearly all cases two statements tell
    what hangs together and a third moves what has to move; more are needed where a match holds
    records of two clusters, which are kept apart by a pair that somebody rejected.
    """
    clusters: dict[UUID, UUID] = {}
    dataset_of: dict[UUID, UUID] = {}
    holding: dict[tuple[UUID, UUID], tuple[bool, float]] = {}
    apart: set[tuple[UUID, UUID]] = set()
    unknown = list(record_ids)
    while unknown:
        rows = await _statements.records_of_clusters(
            work,
            reconciliation_id=reconciliation_id,
            dataset_ids=dataset_ids,
            record_ids=unknown,
        )
        found = [row["record_id"] for row in rows if row["record_id"] not in clusters]
        clusters.update((row["record_id"], row["cluster_id"]) for row in rows)
        dataset_of.update((row["record_id"], row["dataset_id"]) for row in rows)
        pairs = await _statements.pairs_of_records(
            work, reconciliation_id=reconciliation_id, record_ids=found
        )
        beyond: set[UUID] = set()
        for left, right, status, confidence in pairs:
            if status == Status.REJECTED:
                apart.add((left, right))
            else:
                holding[left, right] = (status == Status.ACCEPTED, confidence)
                beyond.update((left, right))
        unknown = [record_id for record_id in beyond if record_id not in clusters]
        if not found:
            break
    surest_first = sorted(holding, key=lambda pair: holding[pair], reverse=True)
    now = await _regrouped(clusters, surest_first, apart)
    moved = {one: cluster for one, cluster in now.items() if cluster != clusters[one]}
    if moved:
        await _statements.move_records(
            work,
            record_ids=list(moved),
            dataset_of=[dataset_of[record_id] for record_id in moved],
            cluster_ids=list(moved.values()),
        )
        await follow_clusters(work, reconciliation_id, successors(clusters, now))


async def _regrouped(
    clusters: Mapping[UUID, UUID],
    holding: Sequence[tuple[UUID, UUID]],
    apart: Iterable[tuple[UUID, UUID]],
) -> dict[UUID, UUID]:
    """Return the cluster of each record, as it has to be."""

    def compute() -> dict[UUID, UUID]:
        return carry_over(components(list(clusters), holding, apart), clusters)

    return compute() if len(clusters) <= _QUICK else await asyncio.to_thread(compute)
