"""How sure a chosen hypothesis is, against everything else that may have happened instead."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from muniment.reconcile.matching.ledger.hypotheses import Hypothesis
from muniment.reconcile.matching.ledger.solver import Resource, uses

CERTAIN = 0.999
"""No more can be said of amounts, names and days without a label: the model itself may be wrong."""
Rated = tuple[list[float], list[Hypothesis]]
"""The probability of each part of a hypothesis, and the likeliest rivals of the whole."""


def confidences(
    chosen: list[Hypothesis], hypotheses: list[Hypothesis], right: Sequence[int]
) -> list[Rated]:
    """Return how sure each chosen hypothesis is, part by part, and the rivals that lost.

    The odds are against its records staying unmatched, and against each rival that would use one
    of its records. A rival that would also displace other chosen hypotheses counts by what is
    left of its odds after theirs; where what it displaces could in turn take this one's place (two
    equal payments of two equal invoices), the exchange counts as a whole. A rival that contains a
    part too speaks for that part.
    """
    by_resource: dict[Resource, list[Hypothesis]] = defaultdict(list)
    pairs: dict[tuple[tuple[int, ...], tuple[int, ...]], Hypothesis] = {}
    for hypothesis in hypotheses:
        if hypothesis.score > -7.0:
            for resource in uses(hypothesis, right):
                by_resource[resource].append(hypothesis)
            pairs[hypothesis.lefts, hypothesis.rights] = hypothesis
    holder: dict[Resource, list[Hypothesis]] = defaultdict(list)
    for hypothesis in chosen:
        for resource in uses(hypothesis, right):
            holder[resource].append(hypothesis)
    return [
        _rated(hypothesis, _rivals(hypothesis, by_resource, right), holder, pairs, right)
        for hypothesis in chosen
    ]


def _rivals(
    hypothesis: Hypothesis, by_resource: dict[Resource, list[Hypothesis]], right: Sequence[int]
) -> list[Hypothesis]:
    """Return the hypotheses that would use a record of this one, the likeliest first."""
    rivals: dict[int, Hypothesis] = {}
    for resource in uses(hypothesis, right):
        for rival in by_resource[resource]:
            if not _same(rival, hypothesis):
                rivals[id(rival)] = rival
    return sorted(rivals.values(), key=lambda r: -r.score)


def _rated(
    hypothesis: Hypothesis,
    rivals: list[Hypothesis],
    holder: dict[Resource, list[Hypothesis]],
    pairs: dict[tuple[tuple[int, ...], tuple[int, ...]], Hypothesis],
    right: Sequence[int],
) -> Rated:
    """Return the probability of each part; of the whole where it has none."""
    logs = [hypothesis.score, *(_net(r, hypothesis, holder, pairs, right) for r in rivals)]
    most = max(0.0, *logs)
    odds = [math.exp(log - most) for log in logs]
    total = sum(odds) + math.exp(-most)
    shares: list[float] = []
    for part in hypothesis.parts:
        pair = (part.i, part.j)
        shares.append(
            odds[0]
            + sum(o for o, r in zip(odds[1:], rivals, strict=True)
                  if any((p.i, p.j) == pair for p in r.parts))
        )  # fmt: skip
    return [min(share / total, CERTAIN) for share in shares or [odds[0]]], rivals[:5]


def _same(one: Hypothesis, other: Hypothesis) -> bool:
    """Whether two hypotheses say the same of the same records, found in different ways."""
    return set(one.lefts) == set(other.lefts) and set(one.rights) == set(other.rights)


def _net(
    rival: Hypothesis,
    hypothesis: Hypothesis,
    holder: dict[Resource, list[Hypothesis]],
    pairs: dict[tuple[tuple[int, ...], tuple[int, ...]], Hypothesis],
    right: Sequence[int],
) -> float:
    """Return the log odds of a rival net of what else it would displace."""
    displaced: dict[int, Hypothesis] = {}
    for resource in uses(rival, right):
        for held in holder.get(resource, ()):
            if held is not hypothesis:
                displaced[id(held)] = held
    net = rival.score - sum(h.score for h in displaced.values())
    if len(displaced) == 1:
        other = next(iter(displaced.values()))
        lefts = other.lefts if set(rival.rights) & set(other.rights) else hypothesis.lefts
        rights = hypothesis.rights if lefts == other.lefts else other.rights
        back = pairs.get((lefts, rights))
        if back is not None:
            net += max(back.score, 0.0)
    return net


def responsibilities(
    hypotheses: list[Hypothesis], chosen: list[Hypothesis], right: Sequence[int]
) -> list[tuple[float, Hypothesis]]:
    """Return for each left record how its possible hypotheses share its probability.

    A quick stand-in for `confidences` while learning: hypotheses that would take a record from a
    better chosen one are left out. Unlike the chosen alone, it lets the kinds that are hard to be
    sure of keep their share, so that learning does not unlearn them.
    """
    best: dict[Resource, float] = {}
    for hypothesis in chosen:
        for resource in uses(hypothesis, right):
            best[resource] = max(best.get(resource, 0.0), hypothesis.score)
    by_left: dict[int, list[Hypothesis]] = defaultdict(list)
    for hypothesis in hypotheses:
        if hypothesis.lefts and hypothesis.score > -5.0:
            wanted = uses(hypothesis, right)
            if all(best.get(r, hypothesis.score) <= hypothesis.score + 1e-9 for r in wanted):
                by_left[hypothesis.lefts[0]].append(hypothesis)
    found: list[tuple[float, Hypothesis]] = []
    for rivals in by_left.values():
        most = max(0.0, *(h.score for h in rivals))
        total = math.exp(-most) + sum(math.exp(h.score - most) for h in rivals)
        found.extend((math.exp(h.score - most) / total, h) for h in rivals)
    found.extend((1.0, h) for h in chosen if not h.lefts)
    return found
