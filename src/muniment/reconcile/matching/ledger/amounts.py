"""How two amounts relate, and how often chance alone makes them relate so."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from muniment.reconcile.matching.ledger.view import Ints

NEAR = 0.15
"""Share of the larger amount that a fee, a discount or a deduction takes at most. Beyond it a
payment is a part payment."""


class Relation(StrEnum):
    """What the amount of a payment is to the amount it settles."""

    equal = "equal"
    near = "near"
    """Fee, discount, deduction, or a little too much."""
    swapped = "swapped"
    """Two digits exchanged, the classic slip of the pen."""
    part = "part"
    over = "over"


@dataclass(slots=True)
class AmountModel:
    """Amounts of one side, and how likely a record drawn from it relates to a given amount."""

    ordered: list[int]
    sizes: list[int]
    """Amounts without their signs, ordered."""
    counts: Counter[int]
    collisions: dict[int, float]
    """By the roundness of an amount: other records that have the same, on average."""

    @classmethod
    def learn(cls, amounts: Ints) -> AmountModel:
        """Count the amounts, and how often amounts as round as each other coincide."""
        counts = Counter(amounts.tolist())
        others: dict[int, list[float]] = {}
        for amount, count in counts.items():
            others.setdefault(roundness(amount), []).extend([count - 1.0] * count)
        collisions = {
            zeros: (sum(values) + 0.5) / (len(values) + 1.0) for zeros, values in others.items()
        }
        sizes = np.sort(np.abs(amounts)).tolist()
        return cls(np.sort(amounts).tolist(), sizes, counts, collisions)

    def chance(self, relation: Relation, amount: int, other: int) -> float:
        """Return minus the log of the share of records that relate so to `amount` by chance.

        Equal amounts: the others that have the same, leaving one out, plus what amounts as round
        as this one usually have. Near amounts: how many are as near, spread evenly over the
        orders of magnitude of nearness.
        """
        total = len(self.ordered)
        if relation is Relation.equal:
            same = max(self.counts.get(other, 1) - 1, 0)
            return -math.log((same + self.collisions.get(roundness(other), 0.5)) / total)
        if relation is Relation.swapped:
            return -math.log(0.2 / total)
        if relation is Relation.near:
            gap = abs(amount - other)
            low = bisect_left(self.ordered, amount - gap)
            high = bisect_right(self.ordered, amount + gap)
            share = max(high - low, 1) / total
            return -math.log(min(share * math.log(total + 2.0), 1.0))
        if relation is Relation.part:
            beyond = total - bisect_right(self.sizes, abs(amount))
        else:
            beyond = bisect_left(self.sizes, abs(amount))
        return -math.log(max(beyond, 1) / total)


def roundness(amount: int) -> int:
    """Return how many zeros an amount ends with."""
    if amount == 0:
        return 0
    zeros = 0
    while amount % 10 == 0:
        amount //= 10
        zeros += 1
    return zeros


def relations(amount: int, other: int) -> list[Relation]:
    """Return what `amount` may be to `other`; nothing if they have opposite signs."""
    if amount == other:
        return [Relation.equal]
    if amount * other <= 0:
        return []
    found: list[Relation] = []
    one, two = abs(amount), abs(other)
    gap = abs(one - two)
    if gap % 9 == 0 and sorted(str(one)) == sorted(str(two)) and _exchanged(one, two):
        found.append(Relation.swapped)
    if gap <= NEAR * max(one, two):
        found.append(Relation.near)
    found.append(Relation.part if one < two else Relation.over)
    return found


def _exchanged(one: int, other: int) -> bool:
    """Whether exactly two neighbouring digits are exchanged."""
    a, b = str(one), str(other)
    differing = [k for k in range(len(a)) if a[k] != b[k]]
    return len(differing) == 2 and differing[1] == differing[0] + 1


def applied(amount: int, other: int) -> int:
    """Return how much of a payment settles the other amount: never more than it."""
    return amount if abs(amount) <= abs(other) else other
