"""A record that settles several others, the last of them only in part.

A customer pays two invoices and the first half of a third. What is paid on the last one is free,
so such a sum says little, unless that is a whole or half percent of it: then it was reckoned.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from muniment.reconcile.matching.ledger.amounts import (
    HALF_PERCENTS,
    NEAR,
    Relation,
    round_share,
)
from muniment.reconcile.matching.ledger.comparison import Comparison
from muniment.reconcile.matching.ledger.hypotheses import (
    Hypothesis,
    Part,
    combinations_log,
    sum_weight,
)
from muniment.reconcile.matching.ledger.weights import Weights

POOL = 10
"""Records of one party that are looked at, the likeliest: 175 subsets of up to three."""
WHOLE = 3
"""Records settled whole in a scattered sum; runs of neighbours may be longer."""
ANCHORS = 500
_KEPT = 6


def parted(
    comparison: Comparison, pools: dict[int, list[int]], weights: Weights
) -> list[Hypothesis]:
    """Return the sums of open right records of which one is settled in part.

    Args:
        comparison: with shares counted among open records.
        pools: by left record the right ones that a name or a code speaks for.
        weights: how often amounts are round shares.
    """
    found: list[Hypothesis] = []
    for i, near in itertools.islice(pools.items(), ANCHORS):
        target = int(comparison.left.amounts[i])
        pool = [j for j in near if int(comparison.right.amounts[j]) * target > 0]
        pool.sort(key=lambda j: -weights.pair(comparison.features(i, j)))
        pool = sorted(pool[:POOL], key=lambda j: (comparison.right_days[j], j))
        rated = sorted(_sums(comparison, i, pool, weights), key=lambda h: -h.constant)
        found.extend(rated[:_KEPT])
    return found


def _sums(
    comparison: Comparison, i: int, pool: Sequence[int], weights: Weights
) -> Iterator[Hypothesis]:
    target = int(comparison.left.amounts[i])
    amounts = {j: int(comparison.right.amounts[j]) for j in pool}
    for whole in _subsets(pool):
        rest = target - sum(amounts[j] for j in whole)
        if rest * target <= 0:
            continue
        for last in pool:
            far = abs(rest) < (1.0 - NEAR) * abs(amounts[last])
            if last in whole or not far or round_share(rest, amounts[last]) <= 0:
                continue
            members = [*whole, last]
            weight = sum_weight([*(amounts[j] for j in whole), rest], list(amounts.values()))
            constant = weight + math.log(weights.round_m / HALF_PERCENTS)
            constant -= combinations_log(max(comparison.free[1], len(members)), len(members))
            constant -= math.log(len(members))
            parts = [
                Part(i, j, amounts[j], None, 0.0, comparison.features(i, j).claim) for j in whole
            ]
            claim = comparison.features(i, last).claim
            parts.append(Part(i, last, rest, Relation.part, 0.0, claim))
            yield Hypothesis("group", tuple(parts), constant, (i,), tuple(members))


def _subsets(pool: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for size in range(1, WHOLE + 1):
        yield from itertools.combinations(pool, size)
    for start in range(len(pool)):
        for end in range(start + WHOLE + 1, len(pool) + 1):
            yield tuple(pool[start:end])
