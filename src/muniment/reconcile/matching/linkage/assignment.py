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

    A record whose second candidate would be a match if the first were not there has two partners,
    or a namesake. Namesakes are few; duplicates are not.
    """
    share = min(float(model.probability.sum()) / max(len(i), 1), 0.9)
    alone = model.weights.sum(axis=1) + np.log2(max(share, 1e-9) / (1 - share))
    good = alone > 0
    return Uniqueness(
        _share_with_several(i[good]) < _SEVERAL, _share_with_several(j[good]) < _SEVERAL
    )


def _share_with_several(good: Rows) -> float:
    if not len(good):
        return 0.0
    found = np.bincount(good)
    several, matched = float((found > 1).sum()), float((found > 0).sum())
    # Of a few records, some chance: what the share is at least, with two standard errors' margin
    # (the lower end of Wilson's interval).
    z = 2.0
    share = several / matched
    spread = z * np.sqrt(share * (1 - share) / matched + z * z / (4 * matched * matched))
    return float((share + z * z / (2 * matched) - spread) / (1 + z * z / matched))


def assign(model: Model, i: Rows, j: Rows, unique: Uniqueness) -> npt.NDArray[np.bool_]:
    """Return which pairs are in the best consistent set, whatever their probability.

    "Best" is the largest sum of log odds over leaving the records unmatched; a record
    that is unique is in one pair at most.
    """
    chosen = np.zeros(len(i), np.bool_)
    if not unique.left and not unique.right:
        chosen[:] = True
        return chosen
    if unique.left != unique.right:
        rows = i if unique.left else j
        order = np.lexsort((-model.probability, rows))
        first = np.ones(len(order), np.bool_)
        first[1:] = rows[order][1:] != rows[order][:-1]
        chosen[order[first]] = True
        return chosen
    _one_to_one(model, i, j, chosen)
    return chosen


def _one_to_one(model: Model, i: Rows, j: Rows, chosen: npt.NDArray[np.bool_]) -> None:
    possible = np.flatnonzero(model.probability >= _POSSIBLE)
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
