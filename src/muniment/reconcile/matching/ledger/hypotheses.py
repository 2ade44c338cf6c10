"""What may have happened: each hypothesis settles some left records with some right ones.

The kinds: a single pair; a group, one left record with several right ones that add up to it;
gathered, several left records with one right one; lines, a left record with what its lines of
evidence name; offset, two records of one ledger that cancel each other.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from muniment.reconcile.matching.ledger.amounts import (
    AmountModel,
    Relation,
    applied,
    relations,
    roundness,
)
from muniment.reconcile.matching.ledger.claims import Claim
from muniment.reconcile.matching.ledger.comparison import Comparison
from muniment.reconcile.matching.ledger.references import Likeness
from muniment.reconcile.matching.ledger.sums import POOL, subsets
from muniment.reconcile.matching.ledger.weights import Weights

_BEAM = 8
_LINE_NAMES_NOTHING = math.log(0.1)
"""A line of evidence about something else: an advance, an invoice not in the list."""
_PARTS_DIFFER = math.log(0.1)
"""What the lines settle does not add up to the amount: a part of it is left without a use."""

_DUPLICATE = math.log(99.0)
"""Odds that of payments for the same invoice, the earlier settles it."""


class Part(NamedTuple):
    """One left and one right record, and how much of them is applied to each other."""

    i: int
    j: int
    amount: int
    relation: Relation | None
    """None in a sum, where the whole is compared."""
    chance: float
    """Minus the log of how often chance relates two amounts so."""
    claim: Likeness | None


@dataclass(slots=True)
class Hypothesis:
    """A set of parts that stands or falls together."""

    kind: str
    parts: tuple[Part, ...]
    constant: float
    """Log odds that do not depend on what is learnt."""
    lefts: tuple[int, ...] = ()
    rights: tuple[int, ...] = ()
    score: float = 0.0

    def takes(self, amounts: Sequence[int]) -> dict[int, float]:
        """Return how much of each right record is used up: less than all by a part payment."""
        used = dict.fromkeys(self.rights, 1.0)
        for part in self.parts:
            if part.relation is Relation.part and amounts[part.j]:
                used[part.j] = abs(part.amount) / abs(amounts[part.j])
        return used


def rate(hypothesis: Hypothesis, comparison: Comparison, weights: Weights) -> float:
    """Return the log odds of a hypothesis against its records being unmatched."""
    total = math.log(weights.shape[hypothesis.kind] / weights.unsettled) + hypothesis.constant
    for part in hypothesis.parts:
        total += weights.pair(comparison.features(part.i, part.j)) + weights.claim(part.claim)
        if part.relation is not None:
            total += math.log(weights.relation_m[part.relation]) + part.chance
    return total


def _related(
    amount: int, other: int, model: AmountModel, weights: Weights
) -> tuple[Relation, float] | None:
    """Return the likeliest relation of two amounts, and its chance."""
    found = [(r, model.chance(r, amount, other)) for r in relations(amount, other)]
    return max(found, key=lambda f: math.log(weights.relation_m[f[0]]) + f[1], default=None)


def singles(
    comparison: Comparison, candidates: list[list[int]], weights: Weights
) -> list[Hypothesis]:
    """Return every candidate pair whose amounts relate."""
    ours, theirs = comparison.left.amounts.tolist(), comparison.right.amounts.tolist()
    prior = -math.log(max(len(comparison.right), 1))
    found: list[Hypothesis] = []
    for i, near in enumerate(candidates):
        told = len(comparison.claims.lines.get(i, ()))
        unused = _LINE_NAMES_NOTHING * max(told - 1, 0)
        for j in near:
            related = _related(ours[i], theirs[j], comparison.right_amounts, weights)
            if related is None or ours[i] == 0:
                continue
            claim = comparison.features(i, j).claim
            part = Part(i, j, applied(ours[i], theirs[j]), *related, claim)
            found.append(Hypothesis("single", (part,), prior + unused, (i,), (j,)))
    _first_settles(found, comparison)
    return found


def _first_settles(found: list[Hypothesis], comparison: Comparison) -> None:
    """Where more payments than invoices of one amount compete, favour the earlier payments.

    A second payment of the same amount for an invoice already paid is a duplicate.
    """
    rivals: dict[int, set[int]] = defaultdict(set)
    wanted: dict[int, set[int]] = defaultdict(set)
    equal = [h for h in found if h.parts[0].relation is Relation.equal]
    for h in equal:
        if comparison.features(h.lefts[0], h.rights[0]).name >= 0.5:
            rivals[h.rights[0]].add(h.lefts[0])
            wanted[h.lefts[0]].add(h.rights[0])
    for h in equal:
        i, j = h.lefts[0], h.rights[0]
        others = rivals[j]
        if len(others) < 2 or i not in others:
            continue
        invoices = set().union(*(wanted[k] for k in others))
        earlier = sum(comparison.left_days[k] < comparison.left_days[i] for k in others)
        if earlier >= len(invoices):
            h.constant -= _DUPLICATE


def sum_weight(amounts: Sequence[int], target: int) -> float:
    """Return the log of how many totals were possible: how unlikely a sum is by chance."""
    step = 10.0 ** min(roundness(a) for a in (*amounts, target) if a) if any(amounts) else 1.0
    return math.log(max(sum(map(abs, amounts)) / step, 1.0))


def combinations_log(total: int, size: int) -> float:
    """Return the log of the number of subsets of a size."""
    return math.lgamma(total + 1) - math.lgamma(size + 1) - math.lgamma(total - size + 1)


def groups(
    comparison: Comparison,
    pools: dict[int, list[int]],
    weights: Weights,
    *,
    gathered: bool,
    free: int,
) -> tuple[list[Hypothesis], int]:
    """Return the sums: one record and several of the other side that add up to it.

    Args:
        comparison: both ledgers.
        pools: by record, those of the other side that may be in its sum.
        weights: prefer the likeliest when a pool is larger than can be searched.
        gathered: the one record is a right one.
        free: records of the other side that a member was chosen from.

    Returns:
        Hypotheses, and for how many records there were more than could be searched.
    """
    one = (comparison.right if gathered else comparison.left).amounts.tolist()
    many = (comparison.left if gathered else comparison.right).amounts.tolist()
    days = comparison.left_days if gathered else comparison.right_days
    found: list[Hypothesis] = []
    bounded = 0
    for anchor, near in pools.items():
        pool = _fitting(near, many, one[anchor])
        if len(pool) < 2:
            continue
        pairs = {k: (k, anchor) if gathered else (anchor, k) for k in pool}
        if len(pool) > POOL:
            bounded += 1
            worth = {k: weights.pair(comparison.features(*pairs[k])) for k in pool}
            pool.sort(key=worth.__getitem__, reverse=True)
            del pool[POOL:]
        pool.sort(key=lambda k: (days[k], k))
        key = (one[anchor], *(many[k] for k in pool))
        if key not in comparison.sums:
            comparison.sums[key] = subsets(key[1:], key[0])
        answers, more = comparison.sums[key]
        bounded += more
        weight = sum_weight([many[k] for k in pool], one[anchor])
        for answer in answers:
            members = tuple(pool[k] for k in answer)
            parts = tuple(
                Part(*pairs[k], many[k], None, 0.0, comparison.features(*pairs[k]).claim)
                for k in members
            )
            constant = weight - combinations_log(max(free, len(members)), len(members))
            sides = (members, (anchor,)) if gathered else ((anchor,), members)
            kind = "gathered" if gathered else "group"
            found.append(Hypothesis(kind, parts, constant, *sides))
    return found, bounded


def _fitting(pool: list[int], amounts: list[int], target: int) -> list[int]:
    """Return the members that can be in a sum: with no opposite sign about, only lesser amounts."""
    if any(amounts[k] * target < 0 for k in pool):
        return list(pool)
    return [k for k in pool if 0 < abs(amounts[k]) < abs(target)]


def pools(
    comparison: Comparison, candidates: list[list[int]], weights: Weights, *, gathered: bool
) -> dict[int, list[int]]:
    """Return by record those of the other side with more for than against them but for amounts."""
    found: dict[int, list[int]] = defaultdict(list)
    for i, near in enumerate(candidates):
        for j in near:
            features = comparison.features(i, j)
            named = features.claim is not None and features.claim > Likeness.none
            if named or weights.name(features) + weights.mention(features) > 1.0:
                found[j if gathered else i].append(i if gathered else j)
    return {anchor: pool for anchor, pool in found.items() if len(pool) > 1}


def lines(
    comparison: Comparison, candidates: list[list[int]], weights: Weights
) -> list[Hypothesis]:
    """Return the ways to read the lines of evidence of each left record, the likeliest few."""
    ours = comparison.left.amounts.tolist()
    prior = -math.log(max(len(comparison.right), 1))
    found: list[Hypothesis] = []
    for i, claims in comparison.claims.lines.items():
        if len(claims) < 2 or len(claims) > 200:
            continue
        beam: list[tuple[float, tuple[Part, ...]]] = [(0.0, ())]
        for claim in claims:
            options = _readings(comparison, i, claim, candidates[i], weights)
            longer = [(score + _LINE_NAMES_NOTHING, parts) for score, parts in beam]
            for score, parts in beam:
                taken = {part.j for part in parts}
                longer.extend(
                    (score + worth + prior, (*parts, part))
                    for worth, part in options
                    if part.j not in taken
                )
            beam = sorted(longer, key=lambda b: -b[0])[:_BEAM]
        for _, parts in beam:
            if len(parts) > 1:
                whole = sum(part.amount for part in parts) == ours[i]
                constant = prior * len(parts) + (0.0 if whole else _PARTS_DIFFER)
                constant += _LINE_NAMES_NOTHING * (len(claims) - len(parts))
                rights = tuple(part.j for part in parts)
                found.append(Hypothesis("lines", parts, constant, (i,), rights))
    return found


def _readings(
    comparison: Comparison,
    i: int,
    claim: Claim,
    near: list[int],
    weights: Weights,
) -> list[tuple[float, Part]]:
    """Return the right records one line may mean, the likeliest few, with their log odds."""
    theirs = {j: int(comparison.right.amounts[j]) for j in near}
    found: list[tuple[float, Part]] = []
    for j in near:
        named = claim.named.get(j, Likeness.none)
        if claim.amount is None:
            related, amount = None, theirs[j]
        else:
            related = _related(claim.amount, theirs[j], comparison.right_amounts, weights)
            amount = applied(claim.amount, theirs[j])
            if related is None:
                continue
        relation, chance = related or (None, 0.0)
        worth = weights.pair(comparison.features(i, j)) + weights.claim(named)
        if relation is not None:
            worth += math.log(weights.relation_m[relation]) + chance
        found.append((worth, Part(i, j, amount, relation, chance, named)))
    found.sort(key=lambda f: -f[0])
    return found[:_BEAM]
