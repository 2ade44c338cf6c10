"""What the fields say, learned from the candidates without labels, by expectation maximisation.

Pairs are of three classes: matches, related pairs that are no match (a family at one address, the
songs of an album, the sizes of a product), and the others (Winkler 1993 took the third class in
for households). Within a class fields are independent; that related pairs agree in several fields
at once is what the class is for, and it need not be known which fields these are.

Where each record has one partner the candidates compete, see `compete`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from muniment.reconcile.matching.linkage.comparisons import Compared
from muniment.reconcile.matching.linkage.level_weights import cells_of, increasing, ratios
from muniment.reconcile.matching.linkage.model import (
    STRONGEST,
    Model,
    Uniqueness,
    compete,
    prior_odds,
)
from muniment.reconcile.matching.linkage.strangers import ranks

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int16]

_ROUNDS: Final = 50
_SETTLED: Final = 1e-4
"""Largest change of the pairs' probabilities, by their sum, at which the model stands still."""

_NEAR: Final = 3
"""Candidates of a record that are held to be related to it at first."""

_LIKELIEST: Final = 60.0
"""Bound of the log likelihood ratio of the related class, so that its power of two is finite."""


@dataclass
class _State:
    """What is expected in one round."""

    probability: Floats
    """That a pair is a match."""
    related: Floats
    """That it is related, if it is no match."""


class _Pairs:
    """Levels of the candidates, one higher, so that 0 is a missing value."""

    def __init__(self, compared: list[Compared]) -> None:
        self.levels = [field.level.astype(np.intp) + 1 for field in compared]
        self.cells = [None if f.cell is None else cells_of(f.cell) for f in compared]
        self.size = [field.levels + 1 for field in compared]

    def count(self, at: int, mass: Floats) -> Floats:
        """Return how often each level of a field is seen, pairs weighted."""
        return np.asarray(np.bincount(self.levels[at], mass, self.size[at])[1:], np.float64)

    def weigh(self, state: _State, weights: Floats) -> list[Floats]:
        """Set the weights of all candidates, matches against unrelated; return those by level."""
        p = state.probability
        rest = (1 - p) * (1 - state.related)
        by_level = []
        for at, level in enumerate(self.levels):
            ratio = increasing(self.count(at, p), self.count(at, rest))
            found = np.clip(np.log2(ratio), -STRONGEST, STRONGEST)
            by_level.append(found)
            weights[:, at] = np.append(0.0, found)[level]
            cell = self.cells[at]
            if cell is not None:
                by_cell = cell.weigh(weights[:, at], p, rest)
                weights[:, at] = np.clip(by_cell, -STRONGEST, STRONGEST)
        return by_level


def learn(
    compared: list[Compared],
    i: Rows,
    j: Rows,
    start: Floats,
    unique: Uniqueness,
    *,
    known: Floats | None = None,
    likeness: Floats | None = None,
) -> Model:
    """Learn the model from the candidate pairs.

    Args:
        compared: the levels of every field.
        i: left row of each pair.
        j: right row of each pair.
        start: first guess of each pair's probability.
        unique: which side's records have one partner at most; one of them must (see `judge`).
        known: base-2 log odds of each pair that are known from elsewhere: what people decided
            (`CERTAIN`, either way), or that a key they named is equal. 0 is nothing.
        likeness: of whole records, by pair. Without it, no pair is taken for related.
    """
    pairs = _Pairs(compared)
    state = _State(
        start, np.zeros(len(i)) if likeness is None else _first_related(start, likeness, i)
    )
    weights = np.zeros((len(i), len(compared)))
    by_level: list[Floats] = []
    behind = np.zeros(len(i))
    relation: list[Floats] = []
    odds, share = 1.0, 0.0
    for _ in range(_ROUNDS):
        by_level = pairs.weigh(state, weights)
        behind, relation, share = _relate(state, pairs)
        odds = prior_odds(float(state.probability.sum()), i, j, unique)
        before = state.probability
        score = weights.sum(axis=1) - behind + np.log2(odds)
        state.probability = compete(score, i, j, unique, known)
        moved = float(np.abs(state.probability - before).sum())
        if moved < _SETTLED * max(float(state.probability.sum()), 1.0):
            break
    # What speaks for a related pair is taken off the weights of its fields.
    total = np.abs(weights).sum(axis=1)
    total[total == 0] = 1.0
    weights -= np.abs(weights) * (behind / total)[:, None]
    return Model(weights, by_level, odds, state.probability, relation, share)


def _first_related(start: Floats, likeness: Floats, i: Rows) -> Floats:
    """Return a first guess of which pairs are related: near, but not each other's nearest."""
    return np.where((ranks(i, likeness) < _NEAR) & (start < 0.005), 0.5, 0.05)


def _relate(state: _State, pairs: _Pairs) -> tuple[Floats, list[Floats], float]:
    """Learn the class of related pairs, and expect which pairs are in it.

    Returns:
        Base-2 logarithm of how much more likely a pair's levels are among all non-matches than
        among the unrelated ones; that of each level of each field among the related; the share
        of related ones.
    """
    if not state.related.any():
        return np.zeros(len(state.related)), [], 0.0
    others = 1 - state.probability
    related = others * state.related
    likelier = np.zeros(len(others))
    relation: list[Floats] = []
    for at, level in enumerate(pairs.levels):
        ratio = ratios(pairs.count(at, related), pairs.count(at, others - related))
        relation.append(np.clip(np.log2(ratio), -STRONGEST, STRONGEST))
        likelier += np.append(0.0, relation[-1])[level]
    share = float(related.sum()) / max(float(others.sum()), 1.0)
    share = min(max(share, 1e-6), 1 - 1e-6)
    claim = share * np.exp2(np.clip(likelier, -_LIKELIEST, _LIKELIEST))
    state.related = claim / (1 - share + claim)
    return np.asarray(np.log2(1 - share + claim), np.float64), relation, share
