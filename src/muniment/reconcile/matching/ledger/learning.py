"""The first round: every hypothesis of every kind, rated by weights learnt without labels."""

from __future__ import annotations

from collections import Counter

from muniment.reconcile.matching.ledger.amounts import Relation, relations
from muniment.reconcile.matching.ledger.comparison import Comparison
from muniment.reconcile.matching.ledger.confidence import responsibilities
from muniment.reconcile.matching.ledger.hypotheses import (
    FAR,
    Hypothesis,
    groups,
    lines,
    pools,
    rate,
    singles,
)
from muniment.reconcile.matching.ledger.labels import allowed
from muniment.reconcile.matching.ledger.offsets import offsets
from muniment.reconcile.matching.ledger.parted import parted
from muniment.reconcile.matching.ledger.settled import Fixed
from muniment.reconcile.matching.ledger.solver import greedy
from muniment.reconcile.matching.ledger.weights import Example, Weights, relearn
from muniment.reconcile.matching.match import Progress

ROUNDS = 4
"""Of expectation maximisation; the shares move by less than a hundredth after the third."""
LEARN_FROM = 500
"""Left records that the shares are learnt from, drawn evenly: a share is then known to 4 %."""


def learn(
    comparison: Comparison, near: list[list[int]], fixed: Fixed, tell: Progress
) -> tuple[Weights, list[Hypothesis], int]:
    """Return weights, every hypothesis rated by them, and how many sums were bounded.

    Args:
        comparison: both ledgers.
        near: by left record the right ones that it may belong to.
        fixed: what is settled teaches how true pairs look.
        tell: told of the progress.
    """
    weights = comparison.first_weights()
    known = _labelled(comparison, fixed)
    cancelled = _cancelled(comparison)
    step = max(len(near) // LEARN_FROM, 1)
    sample = [js if i % step == 0 else [] for i, js in enumerate(near)]
    lefts = int(comparison.left.present[::step].sum())
    for round_ in range(ROUNDS - 1):
        found, _ = hypotheses(comparison, sample, weights, cancelled)
        weights = _relearn(comparison, found, weights, lefts, known)
        tell("learning", 0.3 + 0.4 * (round_ + 1) / ROUNDS)
    found, bounded = hypotheses(comparison, near, weights, cancelled)
    found.extend(_in_part(comparison, near, found, weights))
    return weights, found, bounded


def rated(
    comparison: Comparison, near: list[list[int]], weights: Weights
) -> tuple[list[Hypothesis], int]:
    """Return every hypothesis rated by weights of an earlier run, and how many were bounded."""
    found, bounded = hypotheses(comparison, near, weights, _cancelled(comparison))
    found.extend(_in_part(comparison, near, found, weights))
    return found, bounded


def _in_part(
    comparison: Comparison, near: list[list[int]], found: list[Hypothesis], weights: Weights
) -> list[Hypothesis]:
    """Return the sums with a part payment, for records whose amount nothing explains so far."""
    explained = {
        h.lefts[0]
        for h in found
        if h.lefts and h.score > 0 and all(p.relation not in FAR for p in h.parts)
    }
    rest = [[] if i in explained else js for i, js in enumerate(near)]
    sums = parted(comparison, pools(comparison, rest, weights, gathered=False), weights)
    sums = allowed(sums, comparison)
    for hypothesis in sums:
        hypothesis.score = rate(hypothesis, comparison, weights)
    return sums


def _cancelled(comparison: Comparison) -> list[Hypothesis]:
    return [*offsets(comparison.left, right=False), *offsets(comparison.right, right=True)]


def hypotheses(
    comparison: Comparison, near: list[list[int]], weights: Weights, cancelled: list[Hypothesis]
) -> tuple[list[Hypothesis], int]:
    """Return what may have happened among candidates, and how many sums were bounded."""
    bounded = 0
    found = [*singles(comparison, near, weights), *lines(comparison, near, weights)]
    for gathered in (False, True):
        pool = pools(comparison, near, weights, gathered=gathered)
        free = comparison.free[0 if gathered else 1]
        sums, more = groups(comparison, pool, weights, gathered=gathered, free=free)
        found.extend(sums)
        bounded = max(bounded, more)
    found.extend(cancelled)
    found = allowed(found, comparison)
    for hypothesis in found:
        hypothesis.score = rate(hypothesis, comparison, weights)
    return found, bounded


def _labelled(comparison: Comparison, fixed: Fixed) -> list[Example]:
    """Return the settled pairs as examples of true ones."""
    found: list[Example] = []
    ours, theirs = comparison.left.booked, comparison.right.booked
    for pair in fixed.pairs:
        features = comparison.features(pair.i, pair.j)
        alone = fixed.applied.get((pair.i, pair.j)) in (int(ours[pair.i]), int(theirs[pair.j]))
        related = relations(int(ours[pair.i]), int(theirs[pair.j])) if alone else []
        equal = Relation.equal if Relation.equal in related else None
        found.append(Example(pair.confidence, features, features.claim, equal, 0.0))
    return found


def _relearn(
    comparison: Comparison,
    found: list[Hypothesis],
    weights: Weights,
    lefts: int,
    known: list[Example],
) -> Weights:
    """Return weights learnt from what the present ones make probable."""
    amounts = comparison.right.amounts.tolist()
    expected: dict[str, float] = Counter()  # type: ignore[assignment]
    pairs: list[Example] = list(known)
    for share, hypothesis in responsibilities(found, greedy(found, amounts), amounts):
        if hypothesis.lefts:
            expected[hypothesis.kind] += share * len(hypothesis.lefts)
        pairs.extend(
            Example(share, comparison.features(p.i, p.j), p.claim, p.relation, p.rounded)
            for p in hypothesis.parts
        )
    return relearn(weights, pairs, dict(expected), lefts)
