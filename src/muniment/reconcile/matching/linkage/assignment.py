"""Which candidate pairs stand together: each record once, where its dataset holds it once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components

from muniment.reconcile.matching.linkage.model import Model, Uniqueness

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_SEVERAL: Final = 0.1
"""Share of the matched records that may have a second good candidate before their side counts as
one whose records have several partners. One partner each, wrongly assumed, loses those second
matches; several, wrongly assumed, lets in every merely similar record."""

_POSSIBLE: Final = 0.01
"""Probability below which a pair is not considered for the assignment: it could not enter an
answer or a review list."""

_LARGEST: Final = 1_500
"""Records of one tangle of candidates that are still assigned optimally (the time grows with the
cube); beyond, the best pair is taken first, then the next."""


def estimate_uniqueness(model: Model, i: Rows, j: Rows) -> Uniqueness:
    """Estimate from a model learned with competition whether records have one partner at most.

    Args:
        model: what was learned.
        i: left row of each pair.
        j: right row of each pair.
    """
    good = find_good(model)
    left, right = _surplus(model, i, j), _surplus(model, j, i)
    # Both must say so: second candidates may be relatives, and clear cases few.
    left = min(left, _share_with_several(i[good]))
    right = min(right, _share_with_several(j[good]))
    return Uniqueness(left < _SEVERAL, right < _SEVERAL)


def find_good(model: Model) -> npt.NDArray[np.bool_]:
    """Return which candidates would rather be matches than not if they had no rivals."""
    found: npt.NDArray[np.bool_] = model.alone > 0
    return found


def _share_with_several(good: Rows) -> float:
    """Return the share of the matched records that have a second good candidate.

    A record whose second candidate would be a match if the first were not there has two partners,
    or a namesake. Namesakes are few; duplicates are not.
    """
    if not len(good):
        return 0.0
    found = np.bincount(good)
    matched = float((found > 0).sum())
    return _at_least(float((found > 1).sum()) / matched, matched)


def _at_least(share: float, matched: float) -> float:
    """Return what a share is at least, for it was seen among so many only.

    Of a few records, some chance: two standard errors' margin (the lower end of Wilson's
    interval).
    """
    z = 2.0
    spread = z * np.sqrt(share * (1 - share) / matched + z * z / (4 * matched * matched))
    return float((share + z * z / (2 * matched) - spread) / (1 + z * z / matched))


def _surplus(model: Model, one: Rows, other: Rows) -> float:
    """Return the share of the matched records of one side that have several partners.

    A record whose second candidate would be a match if the first were not there has two partners,
    or a partner and somebody of the partner's family. Among true partners the clear cases are as
    frequent as among all matches; a group that holds one partner and one relative has half as
    many. So the partners in groups are counted by their clear cases.
    """
    score = model.weights.sum(axis=1)
    good = np.flatnonzero(find_good(model))
    if not len(good):
        return 0.0
    # Each record of the other side speaks for its best candidate only: no choice is made among
    # the partners of one record, which would set the best of them apart.
    order = good[np.lexsort((-score[good], other[good]))]
    order = order[np.r_[True, other[order][1:] != other[order][:-1]]]
    _, group, size = np.unique(one[order], return_inverse=True, return_counts=True)
    best = np.full(len(size), -np.inf)
    np.maximum.at(best, group, score[order])
    clear = float(np.median(best))
    grouped = size[group] > 1
    if not grouped.any():
        return 0.0
    frequent = float((best >= clear).mean())
    partners = float((score[order][grouped] >= clear).sum()) / frequent
    surplus = partners - float((size > 1).sum())
    return _at_least(min(max(surplus / len(size), 0.0), 1.0), float(len(size)))


def assign(
    model: Model, i: Rows, j: Rows, unique: Uniqueness, free: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.bool_]:
    """Return which pairs are in the best consistent set, whatever their probability.

    "Best" is the largest sum of log odds over leaving the records unmatched; a record
    that is unique is in one pair at most. Of pairs that are not `free`, none is.
    """
    chosen = np.zeros(len(i), np.bool_)
    free = np.ones(len(i), np.bool_) if free is None else free
    if not unique.left and not unique.right:
        return free.copy()
    if unique.left != unique.right:
        rows = i if unique.left else j
        order = np.lexsort((-model.probability, rows))
        order = order[free[order]]
        first = np.ones(len(order), np.bool_)
        first[1:] = rows[order][1:] != rows[order][:-1]
        chosen[order[first]] = True
        return chosen
    _one_to_one(model, i, j, free, chosen)
    return chosen


def _one_to_one(
    model: Model, i: Rows, j: Rows, free: npt.NDArray[np.bool_], chosen: npt.NDArray[np.bool_]
) -> None:
    possible = np.flatnonzero(free & (model.probability >= _POSSIBLE))
    if not len(possible):
        return
    left, right = i[possible], j[possible]
    # The logarithm of one plus the odds: the log odds where they speak for the pair, and still
    # more than nothing where they do not, since the threshold decides about those later.
    gain = np.logaddexp2(0, model.score[possible])
    width = int(left.max()) + 1
    size = width + int(right.max()) + 1
    graph = sparse.coo_matrix((np.ones(len(left)), (left, right + width)), shape=(size, size))
    _, part = connected_components(graph, directed=False)
    label = part[left]
    order = np.argsort(label, kind="stable")
    bounds = np.flatnonzero(np.diff(label[order])) + 1
    for group in np.split(order, bounds):
        if len(group) == 1:
            chosen[possible[group]] = True
        else:
            chosen[possible[_best(left[group], right[group], gain[group], group)]] = True


def _best(left: Rows, right: Rows, gain: Floats, group: Rows) -> Any:
    """Return the pairs of one tangle that are assigned."""
    rows, a = np.unique(left, return_inverse=True)
    columns, b = np.unique(right, return_inverse=True)
    if max(len(rows), len(columns)) > _LARGEST:
        return group[_greedy(left, right, gain)]
    table = np.zeros((len(rows), len(columns)))
    place = np.full(table.shape, -1)
    table[a, b] = gain
    place[a, b] = np.arange(len(group))
    taken = place[linear_sum_assignment(table, maximize=True)]
    return group[taken[taken >= 0]]


def _greedy(left: Rows, right: Rows, gain: Floats) -> list[int]:
    used_left: set[int] = set()
    used_right: set[int] = set()
    taken = []
    for at in np.argsort(-gain, kind="stable").tolist():
        if left[at] not in used_left and right[at] not in used_right:
            used_left.add(left[at])
            used_right.add(right[at])
            taken.append(at)
    return taken
