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
    Related,
    Relation,
    applied,
    roundness,
)
from muniment.reconcile.matching.ledger.claims import Claim
from muniment.reconcile.matching.ledger.comparison import Comparison
from muniment.reconcile.matching.ledger.references import Likeness
from muniment.reconcile.matching.ledger.sums import POOL, subsets
from muniment.reconcile.matching.ledger.weights import Weights

_BEAM = 8
FAR = frozenset({Relation.apart, Relation.part, Relation.over})
"""Amounts that say so little for each other that a name or a code has to."""
_LINE_NAMES_NOTHING = math.log(0.1)
"""A line of evidence about something else: an advance, an invoice not in the list."""
_LINE_LOST = math.log(0.1)
"""A record that is settled without a line of its own, though others have one."""
_PARTS_DIFFER = math.log(0.1)
"""What the lines settle does not add up to the amount: a part of it is left without a use."""

_DUPLICATE = math.log(9.0)
"""Odds that of two records for the same one of the other side, the earlier is the right one: nine
in ten, no more than a habit that data may contradict."""


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
    rounded: float = 0.0
    """As `round_share` returns it; 0 where the amounts are equal or a part of a sum."""


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
            total += weights.relation(part.relation, part.chance, part.rounded)
    return total


def _related(amount: int, other: int, model: AmountModel, weights: Weights) -> Related | None:
    """Return the likeliest relation of two amounts, its chance, and that of a round share."""
    found = model.options(amount, other)
    if len(found) < 2:
        return found[0] if found else None
    return max(found, key=lambda f: weights.relation(*f))


def singles(
    comparison: Comparison, candidates: list[list[int]], weights: Weights
) -> list[Hypothesis]:
    """Return every candidate pair whose amounts relate."""
    ours, theirs = comparison.left.amounts.tolist(), comparison.right.amounts.tolist()
    prior = -math.log(max(comparison.free[1], 1))
    found: list[Hypothesis] = []
    for i, near in enumerate(candidates):
        told = len(comparison.claims.lines.get(i, ()))
        unused = _LINE_NAMES_NOTHING * max(told - 1, 0)
        for j in near if ours[i] else ():
            related = _related(ours[i], theirs[j], comparison.right_amounts, weights)
            if related is None:
                continue
            features = comparison.features(i, j)
            relation, chance, rounded = related
            if relation in FAR and not features.speaks_for_it():
                continue
            amount = applied(ours[i], theirs[j])
            part = Part(i, j, amount, relation, chance, features.claim, rounded)
            found.append(Hypothesis("single", (part,), prior + unused, (i,), (j,)))
    _first_settles(found, comparison)
    return found


def _first_settles(found: list[Hypothesis], comparison: Comparison) -> None:
    """Favour the earlier of the records of one amount and party, if the other side has fewer.

    A second payment of the same amount for an invoice already paid is a duplicate; so is a second
    booking of what the bank has once, and of two equal invoices the older is paid first.
    """
    equal = [
        h
        for h in found
        if h.parts[0].relation is Relation.equal
        and comparison.features(h.lefts[0], h.rights[0]).name >= 0.5
    ]
    for turned in (False, True):
        days = comparison.right_days if turned else comparison.left_days
        rivals: dict[int, set[int]] = defaultdict(set)
        wanted: dict[int, set[int]] = defaultdict(set)
        pairs = [
            (h, h.rights[0], h.lefts[0]) if turned else (h, h.lefts[0], h.rights[0]) for h in equal
        ]
        for _, one, other in pairs:
            rivals[other].add(one)
            wanted[one].add(other)
        for h, one, other in pairs:
            others = rivals[other]
            if len(others) > 1:
                places = set().union(*(wanted[k] for k in others))
                if sum(days[k] < days[one] for k in others) >= len(places):
                    h.constant -= _DUPLICATE


def sum_weight(members: Sequence[int], pool: Sequence[int]) -> float:
    """Return the log of how many totals were possible: how unlikely a sum is by chance.

    Round amounts have round sums, of which there are few: only amounts of the pool at least as
    round as the members count, in steps of their roundness.
    """
    zeros = min((roundness(a) for a in members if a), default=0)
    total = sum(abs(a) for a in pool if roundness(a) >= zeros)
    return math.log(max(total / 10.0**zeros, 1.0))


def combinations_log(total: float, size: int) -> float:
    """Return the log of the number of subsets of a size, of a number that may be expected."""
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
        amounts = [many[k] for k in pool]
        for answer in answers:
            members = tuple(pool[k] for k in answer)
            parts = tuple(
                Part(*pairs[k], many[k], None, 0.0, comparison.features(*pairs[k]).claim)
                for k in members
            )
            constant = sum_weight([many[k] for k in members], amounts)
            constant -= combinations_log(max(free, len(members)), len(members))
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
    prior = -math.log(max(comparison.free[1], 1))
    found: list[Hypothesis] = []
    for i, claims in comparison.claims.lines.items():
        if len(claims) > 200:
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
            rest = ours[i] - sum(part.amount for part in parts)
            constant = prior * len(parts) + _LINE_NAMES_NOTHING * (len(claims) - len(parts))
            if len(parts) > 1:
                worth = constant + (_PARTS_DIFFER if rest else 0.0)
                found.append(_of_lines(i, parts, worth))
            if parts and rest:
                found.extend(
                    _of_lines(i, (*parts, *more), constant + worth)
                    for more, worth in _completed(comparison, i, parts, candidates[i], rest)
                )
    return found


def _of_lines(i: int, parts: tuple[Part, ...], constant: float) -> Hypothesis:
    return Hypothesis("lines", parts, constant, (i,), tuple(part.j for part in parts))


def _completed(
    comparison: Comparison, i: int, parts: tuple[Part, ...], near: list[int], rest: int
) -> list[tuple[tuple[Part, ...], float]]:
    """Return what adds up to the rest of a payment, of which no line tells: lines were lost."""
    taken = {part.j for part in parts}
    amounts = comparison.right.amounts.tolist()
    pool = [j for j in near if j not in taken and 0 < amounts[j] * rest <= rest * rest]
    # A name has to speak for them, or any open amount would do.
    pool = [j for j in pool if comparison.features(i, j).is_best][:POOL]
    answers: list[tuple[int, ...]] = [(k,) for k, j in enumerate(pool) if amounts[j] == rest]
    if len(pool) > 1 and not answers:
        answers = subsets([amounts[j] for j in pool], rest)[0]
    found: list[tuple[tuple[Part, ...], float]] = []
    for answer in answers[:_BEAM]:
        members = [pool[k] for k in answer]
        weight = sum_weight([amounts[j] for j in members], [amounts[j] for j in pool])
        weight -= combinations_log(max(comparison.free[1], len(members)), len(members))
        more = tuple(Part(i, j, amounts[j], None, 0.0, None) for j in members)
        found.append((more, weight + _LINE_LOST * len(members)))
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
        if named is Likeness.none and claim.amount not in (None, theirs[j]):
            # Neither code nor amount: the line is about something else.
            continue
        if claim.amount is None:
            related, amount = None, theirs[j]
        else:
            related = _related(claim.amount, theirs[j], comparison.right_amounts, weights)
            amount = applied(claim.amount, theirs[j])
            if related is None:
                continue
        relation, chance, rounded = related or (None, 0.0, 0.0)
        worth = weights.pair(comparison.features(i, j)) + weights.claim(named)
        if relation is not None:
            worth += weights.relation(relation, chance, rounded)
        found.append((worth, Part(i, j, amount, relation, chance, named, rounded)))
    found.sort(key=lambda f: -f[0])
    return found[:_BEAM]
