"""How two amounts relate, and how often chance alone makes them relate so."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from muniment.reconcile.matching.ledger.signs import Ints

NEAR = 0.15
"""Share of the larger amount that a fee, a discount or a deduction takes at most. Beyond it a
payment is a part payment."""
HALF_PERCENTS = 200
"""Discounts, deposits and instalments are agreed in whole or half percents."""


class Relation(StrEnum):
    """What the amount of a payment is to the amount it settles."""

    equal = "equal"
    slight = "slight"
    """A bank's charge, a difference of exchange or rounding: within one in a hundred."""
    near = "near"
    """A fee or a discount: within one in twenty."""
    apart = "apart"
    """A deduction: within `NEAR`."""
    swapped = "swapped"
    """Two digits exchanged, the classic slip of the pen."""
    part = "part"
    over = "over"


GAPS = {Relation.slight: (0.0, 0.01), Relation.near: (0.01, 0.05), Relation.apart: (0.05, NEAR)}
"""From and to which share of the larger amount two amounts differ."""


_SHARES = frozenset({Relation.slight, Relation.near, Relation.apart, Relation.part})
"""Relations of amounts of which one may have been reckoned as a share of the other."""


class Related(NamedTuple):
    """One way in which two amounts relate."""

    relation: Relation
    chance: float
    """Minus the log of how often chance relates them so."""
    rounded: float
    """As `round_share` returns it; 0 where that says nothing."""


@dataclass(slots=True)
class AmountModel:
    """Amounts of one side, and how likely a record drawn from it relates to a given amount."""

    ordered: list[int]
    sizes: list[int]
    """Amounts without their signs, ordered."""
    counts: Counter[int]
    collisions: dict[int, float]
    """By the roundness of an amount: other records that have the same, on average."""
    _options: dict[tuple[int, int], list[Related]] = field(default_factory=dict)

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

    def options(self, amount: int, other: int) -> list[Related]:
        """Return how `amount` may relate to `other`."""
        known = self._options.get((amount, other))
        if known is None:
            known = self._options[amount, other] = [
                Related(
                    relation,
                    self.chance(relation, amount, other),
                    round_share(amount, other) if relation in _SHARES else 0.0,
                )
                for relation in relations(amount, other)
            ]
        return known

    def chance(self, relation: Relation, amount: int, other: int) -> float:
        """Return minus the log of the share of records that relate so to `amount` by chance.

        Equal amounts: the others that have the same, leaving one out, plus what amounts as round
        as this one usually have. Near amounts: as many as there are within a factor of two on
        either side, as if those were spread evenly over the logarithms.
        """
        total = len(self.ordered)
        if relation is Relation.equal:
            same = max(self.counts.get(other, 1) - 1, 0)
            return -math.log((same + self.collisions.get(roundness(other), 0.5)) / total)
        if relation is Relation.swapped:
            return -math.log(0.2 / total)
        if relation in GAPS:
            low, high = GAPS[relation]
            about = bisect_right(self.sizes, 2 * abs(amount)) - bisect_left(
                self.sizes, abs(amount) / 2
            )
            width = 2.0 * math.log((1.0 - low) / (1.0 - high)) / math.log(4.0)
            return -math.log((about + 1.0) / (total + 1.0) * width)
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
    share = gap / max(one, two)
    found.extend(relation for relation, (low, high) in GAPS.items() if low < share <= high)
    if share > NEAR:
        found.append(Relation.part if one < two else Relation.over)
    return found


def _exchanged(one: int, other: int) -> bool:
    """Whether exactly two neighbouring digits are exchanged."""
    a, b = str(one), str(other)
    differing = [k for k in range(len(a)) if a[k] != b[k]]
    return len(differing) == 2 and differing[1] == differing[0] + 1


def round_share(amount: int, other: int) -> float:
    """Return how often chance makes an amount a whole or half percent of the other.

    Below zero if it is none, with the same size. Of all amounts as round as this one, so many are
    such a share.
    """
    one, two = abs(amount), abs(other)
    step = 10.0 ** roundness(one)
    chance = min(HALF_PERCENTS * step / max(two, 1), 0.9)
    nearest = round(one * HALF_PERCENTS / two) if two else 0
    # The share was rounded to a minor unit.
    exact = abs(one * HALF_PERCENTS - nearest * two) <= HALF_PERCENTS // 2
    return chance if exact and nearest > 0 else -chance


def applied(amount: int, other: int) -> int:
    """Return how much of a payment settles the other amount: never more than it."""
    return amount if abs(amount) <= abs(other) else other
