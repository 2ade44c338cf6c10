"""Entries of one ledger that cancel each other: a cheque and its voiding, for example."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from muniment.reconcile.matching.ledger.amounts import AmountModel, roundness
from muniment.reconcile.matching.ledger.hypotheses import Hypothesis
from muniment.reconcile.matching.ledger.references import Reference
from muniment.reconcile.matching.ledger.view import Ledger
from muniment.reconcile.matching.party_names import NameModel

_PARTNERS_AT_MOST = 6
_SAMPLE = 400
_ALIKE = np.array([0.2, 0.35, 0.5, 0.65, 0.8])
_TRUE = np.array([0.06, 0.06, 0.12, 0.22, 0.27, 0.27])
"""Guess of how alike the texts of cancelling entries are: nothing pairs them to learn it from."""
_SHARED_CODE = math.log(0.4 / 0.02)


def offsets(ledger: Ledger, *, right: bool) -> list[Hypothesis]:
    """Return the pairs of entries with opposite amounts, rated as far as their texts go.

    They compete with matches: an entry and its reversal that both stand on the other side are
    matched there, and cancel nothing.
    """
    present = ledger.present & (ledger.amounts != 0)
    if not (ledger.amounts[present] < 0).any() or not (ledger.amounts[present] > 0).any():
        return []
    by_amount: dict[int, list[int]] = defaultdict(list)
    for position in np.flatnonzero(present).tolist():
        by_amount[int(ledger.amounts[position])].append(position)
    texts = [ledger.text(position) for position in range(len(ledger))]
    names = NameModel.learn(texts)
    draw = np.random.default_rng(0).integers(len(ledger), size=(_SAMPLE, 2))
    drawn = [names.similarity(texts[a], texts[b]) for a, b in draw.tolist() if a != b]
    counts = np.bincount(np.searchsorted(_ALIKE, drawn), minlength=len(_TRUE)) + 0.5
    told = np.log(_TRUE / (counts / counts.sum()))
    model = AmountModel.learn(ledger.amounts[present])
    prior = -math.log(len(ledger))
    found: list[Hypothesis] = []
    for amount, positives in by_amount.items():
        if amount <= 0 or -amount not in by_amount:
            continue
        for one in positives[:_PARTNERS_AT_MOST]:
            for other in by_amount[-amount][:_PARTNERS_AT_MOST]:
                if (ledger.currency[one] or "") != (ledger.currency[other] or ""):
                    continue
                chance = _opposite(model, len(by_amount[-amount]), amount)
                alike = names.similarity(texts[one], texts[other])
                worth = float(told[int(np.searchsorted(_ALIKE, alike))])
                if _share(ledger.codes[one], ledger.codes[other]):
                    worth += _SHARED_CODE
                sides = ((), (one, other)) if right else ((one, other), ())
                found.append(Hypothesis("offset", (), prior + worth + chance, *sides))
    return found


def _opposite(model: AmountModel, count: int, amount: int) -> float:
    """Return minus the log of the share of entries that are opposite by chance."""
    usual = model.collisions.get(roundness(amount), 0.5)
    return -math.log((count - 1 + usual) / len(model.ordered))


def _share(one: list[Reference], other: list[Reference]) -> bool:
    """Whether two entries carry the same number in a code: a cheque's, a voucher's."""
    numbers = {r.number for r in one if len(r.number) >= 3}
    return any(r.number in numbers for r in other)
