"""Clusters: which records are the same thing, and ids for that which outlive runs and decisions.

Pairs that hold (matched or accepted) join their records; what is connected is a cluster. Its id is
no function of its members: it is handed on from the clusters that the members were in before, so
that whoever noted it finds the same thing again after a record was added or taken away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from muniment.db import new_id

RecordId: TypeAlias = UUID
ClusterId: TypeAlias = UUID
Pair: TypeAlias = tuple[UUID, UUID]


def components(
    records: Sequence[RecordId], holding: Sequence[Pair], apart: Iterable[Pair] = ()
) -> list[list[RecordId]]:
    """Return the records that belong together, each group in the order of `records`.

    A record that no pair joins is a group of its own. A million records take about three seconds.

    Args:
        records: all of them, each once.
        holding: pairs that are matched or accepted; the surest first, accepted ones before the
            rest. Pairs of which a record is missing in `records` join nothing.
        apart: pairs that somebody rejected. No chain of other pairs joins their records: of each
            chain the least sure pair is left out.
    """
    place = {record: at for at, record in enumerate(records)}
    joined = _places(holding, place)
    labels = _connected(len(records), joined)
    torn = [(i, j) for i, j in _places(apart, place).tolist() if labels[i] == labels[j]]
    if torn:
        labels = _connected(len(records), _without_chains(joined, labels, torn))
    return _grouped(records, labels)


def carry_over(
    groups: Iterable[Sequence[RecordId]],
    former: Mapping[RecordId, ClusterId],
    fresh: Callable[[], ClusterId] = new_id,
) -> dict[RecordId, ClusterId]:
    """Return the cluster id of every record of the groups.

    A cluster that falls apart leaves its id to the part with most of its members; of clusters
    that merge, the id of the one with most members stays, of equal ones the smaller id. No two
    groups are given the same id.

    Args:
        groups: records that belong together now, as `components` returns them.
        former: cluster ids before; records that are new may be missing. It must hold every member
            of each cluster that it names, or groups elsewhere may bear the same id.
        fresh: makes an id for a group that inherits none. By default ids that never were: one
            made from the members could come back while another cluster bears it.
    """
    kept: dict[RecordId, ClusterId] = {}
    contested: list[Sequence[RecordId]] = []
    sizes = Counter(former.values())
    for group in groups:
        ids = {former.get(record) for record in group}
        (one, *others) = ids
        if one is not None and not others and sizes[one] == len(group):
            kept.update(dict.fromkeys(group, one))
        else:
            contested.append(group)
    for group, cluster_id in zip(contested, _inherited(contested, former), strict=True):
        kept.update(dict.fromkeys(group, fresh() if cluster_id is None else cluster_id))
    return kept


def successors(
    former: Mapping[RecordId, ClusterId], now: Mapping[RecordId, ClusterId]
) -> dict[ClusterId, ClusterId]:
    """Return for each id that no record bears any more the cluster of most of its records.

    What people have set of the golden record of that cluster goes there, see
    `golden.following.follow_clusters`.

    Args:
        former: cluster ids before, as `carry_over` was given them.
        now: what it returned.
    """
    gone: dict[ClusterId, Counter[ClusterId]] = {}
    left = set(now.values())
    for record, cluster_id in former.items():
        if cluster_id not in left and record in now:
            gone.setdefault(cluster_id, Counter())[now[record]] += 1
    return {
        cluster_id: min(counts, key=lambda one: (-counts[one], one))
        for cluster_id, counts in gone.items()
    }


def _inherited(
    groups: Sequence[Sequence[RecordId]], former: Mapping[RecordId, ClusterId]
) -> list[ClusterId | None]:
    """Return for each group the former id that it keeps: the largest claim is met first."""
    claims = []
    for at, group in enumerate(groups):
        # Numbers: ids compare and hash in Python, which takes ten times as long.
        first = min(record.int for record in group)
        ids = [cluster_id.int for cluster_id in map(former.get, group) if cluster_id is not None]
        claims += [(-count, cluster_id, first, at) for cluster_id, count in Counter(ids).items()]
    found: list[ClusterId | None] = [None] * len(groups)
    taken = set()
    for _count, cluster_id, _first, at in sorted(claims):
        if found[at] is None and cluster_id not in taken:
            found[at] = UUID(int=cluster_id)
            taken.add(cluster_id)
    return found


def _places(pairs: Iterable[Pair], place: Mapping[RecordId, int]) -> npt.NDArray[np.int64]:
    found = [
        (place[left], place[right]) for left, right in pairs if left in place and right in place
    ]
    return np.asarray(found, np.int64).reshape(-1, 2)


def _connected(size: int, edges: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    ones = np.ones(len(edges), np.int8)
    graph = coo_array((ones, (edges[:, 0], edges[:, 1])), shape=(size, size))
    labels: npt.NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels


def _without_chains(
    edges: npt.NDArray[np.int64], labels: npt.NDArray[np.int32], torn: list[tuple[int, int]]
) -> npt.NDArray[np.int64]:
    """Return the edges but those that would chain two records that somebody holds apart.

    Edges are taken in their order and left out where a group would come to hold such a pair
    (Kruskal's algorithm, with what must not be linked); only groups that are torn are looked at.
    """
    groups = {int(labels[i]) for i, _ in torn}
    held: dict[int, set[int]] = {}
    for i, j in torn:
        held.setdefault(i, set()).add(j)
        held.setdefault(j, set()).add(i)
    doubtful = np.isin(labels[edges[:, 0]], list(groups)) if len(edges) else np.zeros(0, np.bool_)
    part: dict[int, set[int]] = {}
    good = []
    for i, j in edges[doubtful].tolist():
        one, other = part.setdefault(i, {i}), part.setdefault(j, {j})
        if one is other:
            continue
        if any(held[at] & other for at in one if at in held):
            continue
        if len(one) < len(other):
            one, other = other, one
        one |= other
        part.update(dict.fromkeys(other, one))
        good.append((i, j))
    return np.concatenate((edges[~doubtful], np.asarray(good, np.int64).reshape(-1, 2)))


def _grouped(records: Sequence[RecordId], labels: npt.NDArray[np.int32]) -> list[list[RecordId]]:
    if not len(records):
        return []
    order = np.argsort(labels, kind="stable")
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    return [[records[at] for at in part] for part in np.split(order, ends)]


__all__ = ["ClusterId", "RecordId", "carry_over", "components", "successors"]
