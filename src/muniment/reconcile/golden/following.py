"""What people have set of golden records follows the records when clusters merge."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final
from uuid import UUID

from muniment.db import UnitOfWork, load_statements

_statements = load_statements("muniment.reconcile.golden")

_BATCH: Final = 10_000


async def follow_clusters(
    work: UnitOfWork, reconciliation_id: UUID, successors: Mapping[UUID, UUID]
) -> None:
    """Give the values that were set of clusters that are no more to those that took their records.

    Args:
        work: a transaction that holds the reconciliation.
        reconciliation_id: whose clusters.
        successors: as `clusters.successors` returns them.
    """
    pairs = iter(successors.items())
    while part := list(islice(pairs, _BATCH)):
        await _statements.follow_clusters(
            work,
            reconciliation_id=reconciliation_id,
            cluster_ids=[cluster_id for cluster_id, _ in part],
            successors=[successor for _, successor in part],
        )
