"""Several records with several (n:m): instalments against invoices that were split otherwise."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

from muniment.reconcile.matching.ledger.comparison import Comparison
from muniment.reconcile.matching.ledger.hypotheses import (
    Hypothesis,
    Part,
    combinations_log,
    sum_weight,
)
from muniment.reconcile.matching.ledger.weights import Weights

MOST = 12
"""Records of each side that are looked at together: 298 subsets of up to three of each."""
LARGEST = 3


def several(
    comparison: Comparison,
    candidates: list[list[int]],
    weights: Weights,
    *,
    free: tuple[int, int],
) -> list[Hypothesis]:
    """Return the subsets of two or three left and two or three right records of equal sum.

    Looked for among records that share a party: the right records that a left record's name or
    evidence speaks for, and the left records that share one of those.
    """
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], Hypothesis] = {}
    for ours, theirs in _parties(comparison, candidates, weights):
        sums: dict[int, list[tuple[int, ...]]] = defaultdict(list)
        mine = comparison.left.amounts.tolist()
        other = comparison.right.amounts.tolist()
        for size in range(2, LARGEST + 1):
            for subset in itertools.combinations(theirs, size):
                sums[sum(other[j] for j in subset)].append(subset)
        for size in range(2, LARGEST + 1):
            for subset in itertools.combinations(ours, size):
                for match in sums.get(sum(mine[i] for i in subset), ())[:3]:
                    hypothesis = _hypothesis(comparison, subset, match, free)
                    found.setdefault((subset, match), hypothesis)
    return list(found.values())


def _parties(
    comparison: Comparison, candidates: list[list[int]], weights: Weights
) -> list[tuple[list[int], list[int]]]:
    close: dict[int, list[int]] = {}
    for i, near in enumerate(candidates):
        kept = [j for j in near if weights.name(comparison.features(i, j)) > 1.0]
        if len(kept) > 1:
            close[i] = kept[:MOST]
    by_right: dict[int, list[int]] = defaultdict(list)
    for i, near in close.items():
        for j in near:
            by_right[j].append(i)
    parties: dict[tuple[int, ...], tuple[list[int], list[int]]] = {}
    for near in close.values():
        ours = sorted({i for j in near for i in by_right[j]})[:MOST]
        if len(ours) > 1:
            parties.setdefault(tuple(ours), (ours, near))
    return list(parties.values())[:500]


def _hypothesis(
    comparison: Comparison, lefts: tuple[int, ...], rights: tuple[int, ...], free: tuple[int, int]
) -> Hypothesis:
    """Apply the amounts in the order of days: the first payment settles the first invoices."""
    ours = sorted(lefts, key=lambda i: (comparison.left_days[i], i))
    theirs = sorted(rights, key=lambda j: (comparison.right_days[j], j))
    parts: list[Part] = []
    owed = {j: int(comparison.right.amounts[j]) for j in theirs}
    for i in ours:
        paid = int(comparison.left.amounts[i])
        for j in theirs:
            applied = min(paid, owed[j], key=abs)
            if applied and paid * owed[j] > 0:
                claim = comparison.features(i, j).claim
                parts.append(Part(i, j, applied, None, 0.0, claim))
                paid -= applied
                owed[j] -= applied
    amounts = [int(comparison.right.amounts[j]) for j in rights]
    constant = sum_weight(amounts, amounts) - math.log(4.0)
    constant -= combinations_log(max(free[0], len(lefts)), len(lefts))
    constant -= combinations_log(max(free[1], len(rights)), len(rights))
    return Hypothesis("several", tuple(parts), constant, lefts, rights)
