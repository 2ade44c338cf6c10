"""The second round: records that the first left over, among which fewer partners are possible.

A payment is one of N invoices' only until the others are paid; what chance can do shrinks with
what is open. Two kinds of sums are tried only here, where few records are left: of records whose
names say nothing but whose days are near (a deposit of several cheques, under no name), and of
several records with several (n:m).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from muniment.reconcile.matching.ledger.amounts import AmountModel
from muniment.reconcile.matching.ledger.comparison import Comparison
from muniment.reconcile.matching.ledger.confidence import responsibilities
from muniment.reconcile.matching.ledger.deposits import deposits
from muniment.reconcile.matching.ledger.hypotheses import (
    Hypothesis,
    groups,
    lines,
    pools,
    rate,
    singles,
)
from muniment.reconcile.matching.ledger.labels import allowed
from muniment.reconcile.matching.ledger.names import NamePair
from muniment.reconcile.matching.ledger.parted import parted
from muniment.reconcile.matching.ledger.several import several
from muniment.reconcile.matching.ledger.solver import greedy
from muniment.reconcile.matching.ledger.weights import LAG_EDGES, Weights, reshaped

ROUNDS = 3
"""In which the shares of what is settled are learnt anew; they are still after the second."""
NEAREST = 16
"""Records without a name that are looked at for one deposit, the likeliest days first."""


def residue(
    comparison: Comparison, near: list[list[int]], chosen: list[Hypothesis], weights: Weights
) -> tuple[list[Hypothesis], int, Weights]:
    """Return the hypotheses among records that nothing chosen uses, and how many were bounded.

    The weights returned know what this round settles too: without it too many records seem to
    have no partner, and those that have one look doubtful.
    """
    ours, theirs = _open(comparison, chosen)
    if not ours or not theirs:
        return [], 0, weights
    rest = restricted(comparison, ours, theirs)
    still = set(theirs)
    left = set(ours)
    candidates = [[j for j in js if j in still] if i in left else [] for i, js in enumerate(near)]
    found = [*singles(rest, candidates, weights), *lines(rest, candidates, weights)]
    bounded = 0
    for gathered in (False, True):
        named = pools(rest, candidates, weights, gathered=gathered)
        by_days = _by_days(rest, (ours, theirs), weights, gathered=gathered)
        free = len(ours if gathered else theirs)
        if not gathered:
            found.extend(parted(rest, named, weights))
        for pool in (named, by_days):
            sums, more = groups(rest, pool, weights, gathered=gathered, free=free)
            found.extend(sums)
            bounded += more
    unnamed, more = deposits(rest, ours, theirs, weights)
    found.extend(unnamed)
    bounded += more
    found.extend(several(rest, candidates, weights, free=(len(ours), len(theirs))))
    found = allowed(found, rest)
    amounts = comparison.right.amounts.tolist()
    for round_ in range(ROUNDS):
        for hypothesis in found:
            hypothesis.score = rate(hypothesis, rest, weights)
        if round_ < ROUNDS - 1:
            shares = responsibilities(found, greedy(found, amounts), amounts)
            settled = [*((1.0, h) for h in chosen), *shares]
            weights = reshaped(weights, _shape(settled), comparison.free[0])
    return found, bounded, weights


def _shape(settled: Sequence[tuple[float, Hypothesis]]) -> dict[str, float]:
    """Return the expected number of left records settled in each way."""
    shape: dict[str, float] = defaultdict(float)
    for share, hypothesis in settled:
        shape[hypothesis.kind] += share * len(hypothesis.lefts)
    return dict(shape)


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


def restricted(
    comparison: Comparison, ours: Sequence[int] | None = None, theirs: Sequence[int] | None = None
) -> Comparison:
    """Return the comparison with shares counted among open records only.

    Args:
        comparison: of whole ledgers.
        ours: positions of open left records; None: those with an open amount.
        theirs: the same of the right ledger.
    """
    if ours is None or theirs is None:
        ours = np.flatnonzero(comparison.left.present).tolist()
        theirs = np.flatnonzero(comparison.right.present).tolist()
    still = set(theirs)
    names = [
        NamePair(
            pair.left, pair.right, pair.model, pair.near,
            {text: [j for j in rows if j in still] for text, rows in pair.rows.items()},
            max(len(theirs), 1),
        )
        for pair in comparison.names
    ]  # fmt: skip
    amounts = AmountModel.learn(comparison.right.amounts[list(theirs)])
    free = (len(ours), len(theirs))
    return replace(comparison, names=names, right_amounts=amounts, free=free, _features={})


def _by_days(
    comparison: Comparison,
    open_records: tuple[list[int], list[int]],
    weights: Weights,
    *,
    gathered: bool,
) -> dict[int, list[int]]:
    """Return by record the open records of the other side of days that speak for a match."""
    ours, theirs = open_records
    anchors, others = (theirs, ours) if gathered else (ours, theirs)
    days = comparison.right_days if gathered else comparison.left_days
    other_days = (comparison.left_days if gathered else comparison.right_days)[others]
    lags = weights.lags()
    found: dict[int, list[int]] = {}
    for anchor in anchors[:2_000]:
        gaps = other_days - days[anchor] if gathered else days[anchor] - other_days
        worth = lags[np.searchsorted(LAG_EDGES, gaps, side="right")]
        worth[np.isnan(gaps)] = -1.0
        order = np.lexsort((np.abs(gaps), -worth))[:NEAREST].tolist()
        pool = [others[k] for k in order if worth[k] > 0]
        pairs = [(k, anchor) if gathered else (anchor, k) for k in pool]
        pool = [k for k, pair in zip(pool, pairs, strict=True) if comparison.comparable(*pair)]
        if len(pool) > 1:
            found[anchor] = pool
    return found
