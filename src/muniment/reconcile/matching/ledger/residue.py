"""The second round: records that the first left over, among which fewer partners are possible.

A payment is one of N invoices' only until the others are paid; what chance can do shrinks with
what is open. Two kinds of sums are tried only here, where few records are left: of records whose
names say nothing but whose days are near (a deposit of several cheques, under no name), and of
several records with several (n:m).
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np

from muniment.reconcile.matching.ledger.amounts import AmountModel
from muniment.reconcile.matching.ledger.comparison import Comparison
from muniment.reconcile.matching.ledger.hypotheses import (
    Hypothesis,
    groups,
    lines,
    pools,
    rate,
    singles,
)
from muniment.reconcile.matching.ledger.names import NamePair
from muniment.reconcile.matching.ledger.several import several
from muniment.reconcile.matching.ledger.weights import Weights

NEAR_DAYS = 5.0
"""Days within which records without a name are gathered into one deposit: a working week."""
NEAREST = 12


def residue(
    comparison: Comparison, near: list[list[int]], chosen: list[Hypothesis], weights: Weights
) -> tuple[list[Hypothesis], int]:
    """Return the hypotheses among records that nothing chosen uses, and how many were bounded."""
    ours, theirs = _open(comparison, chosen)
    if not ours or not theirs:
        return [], 0
    rest = _restricted(comparison, theirs)
    still = set(theirs)
    left = set(ours)
    candidates = [[j for j in js if j in still] if i in left else [] for i, js in enumerate(near)]
    found = [*singles(rest, candidates, weights), *lines(rest, candidates, weights)]
    prior = math.log(len(comparison.right) / len(theirs))
    bounded = 0
    for hypothesis in found:
        # They were given odds of one among all right records.
        hypothesis.constant += prior * max(len(hypothesis.parts), 1)
    for gathered in (False, True):
        named = pools(rest, candidates, weights, gathered=gathered)
        by_days = _by_days(rest, ours, theirs, gathered=gathered)
        free = len(ours if gathered else theirs)
        for pool in (named, by_days):
            sums, more = groups(rest, pool, weights, gathered=gathered, free=free)
            found.extend(sums)
            bounded += more
    found.extend(several(rest, candidates, weights, free=(len(ours), len(theirs))))
    for hypothesis in found:
        hypothesis.score = rate(hypothesis, rest, weights)
    return found, bounded


def _open(comparison: Comparison, chosen: list[Hypothesis]) -> tuple[list[int], list[int]]:
    used_left = {i for h in chosen for i in h.lefts}
    amounts = comparison.right.amounts.tolist()
    used: dict[int, float] = defaultdict(float)
    for hypothesis in chosen:
        for j, share in hypothesis.takes(amounts).items():
            used[j] += share
    ours = [i for i in range(len(comparison.left)) if i not in used_left]
    ours = [i for i in ours if comparison.left.present[i]]
    theirs = [j for j in range(len(amounts)) if used[j] < 1e-9 and comparison.right.present[j]]
    return ours, theirs


def _restricted(comparison: Comparison, theirs: list[int]) -> Comparison:
    """Return the comparison with shares counted among the open right records only."""
    still = set(theirs)
    names = [
        NamePair(
            pair.left, pair.right, pair.model, pair.near,
            {text: [j for j in rows if j in still] for text, rows in pair.rows.items()},
            len(theirs),
        )
        for pair in comparison.names
    ]  # fmt: skip
    amounts = AmountModel.learn(comparison.right.amounts[theirs])
    return replace(comparison, names=names, right_amounts=amounts, _features={})


def _by_days(
    comparison: Comparison, ours: list[int], theirs: list[int], *, gathered: bool
) -> dict[int, list[int]]:
    """Return by record the open records of the other side nearest in days."""
    anchors, others = (theirs, ours) if gathered else (ours, theirs)
    days = comparison.right_days if gathered else comparison.left_days
    other_days = (comparison.left_days if gathered else comparison.right_days)[others]
    found: dict[int, list[int]] = {}
    for anchor in anchors[:2_000]:
        gaps = np.abs(other_days - days[anchor])
        order = np.argsort(gaps, kind="stable")[:NEAREST].tolist()
        pool = [others[k] for k in order if gaps[k] <= NEAR_DAYS]
        pairs = [(k, anchor) if gathered else (anchor, k) for k in pool]
        pool = [k for k, pair in zip(pool, pairs, strict=True) if comparison.comparable(*pair)]
        if len(pool) > 1:
            found[anchor] = pool
    return found
