"""What the fields say, learned without labels, by expectation maximisation.

Two classes, matches and the other candidates, or all other pairs of records where it is known how
alike these are by chance (see `independent`). Where fields agree together among pairs that do not
match (a family at one address, the songs of an album), what they say together is found afterwards
from pairs that are known not to match, see `strangers.temper`.

Where each record has one partner the candidates compete, see `compete`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from muniment.reconcile.matching.linkage.comparisons import Compared
from muniment.reconcile.matching.linkage.independent import Chance
from muniment.reconcile.matching.linkage.level_weights import cells_of, increasing
from muniment.reconcile.matching.linkage.model import (
    STRONGEST,
    Model,
    Uniqueness,
    compete,
    prior_odds,
)

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_ROUNDS: Final = 50
_SETTLED: Final = 1e-4
"""Largest change of the pairs' probabilities, by their sum, at which the model stands still."""


class _Pairs:
    """Levels of the candidates, one higher, so that 0 is a missing value."""

    def __init__(self, compared: list[Compared], chance: Chance | None) -> None:
        self.chance = chance
        self.levels = [field.level.astype(np.intp) + 1 for field in compared]
        # Of pairs of values it is not known how often they meet by chance.
        self.cells = [None if f.cell is None or chance else cells_of(f.cell) for f in compared]
        self.size = [field.levels + 1 for field in compared]

    def count(self, at: int, mass: Floats) -> Floats:
        """Return how often each level of a field is seen, pairs weighted."""
        return np.asarray(np.bincount(self.levels[at], mass, self.size[at])[1:], np.float64)

    def weigh(self, match: Floats, weights: Floats) -> list[Floats]:
        """Set the weights of all candidates, matches against the others; return those by level."""
        by_level = []
        for at, level in enumerate(self.levels):
            others = self.chance.unlike[at] if self.chance else self.count(at, 1 - match)
            ratio = increasing(self.count(at, match), others)
            found = np.clip(np.log2(ratio), -STRONGEST, STRONGEST)
            by_level.append(found)
            weights[:, at] = np.append(0.0, found)[level]
            cell = self.cells[at]
            if cell is not None:
                by_cell = cell.weigh(weights[:, at], match, 1 - match)
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
    chance: Chance | None = None,
) -> Model:
    """Learn the model from the candidate pairs.

    Args:
        compared: the levels of every field.
        i: left row of each pair.
        j: right row of each pair.
        start: first guess of each pair's probability.
        unique: which side's records have one partner at most; one of them must (see `judge`),
            unless it is known what chance does.
        known: base-2 log odds of each pair that are known from elsewhere: what people decided
            (`CERTAIN`, either way), or that a key they named is equal. 0 is nothing.
        chance: how alike all pairs of records are, see `drawn`. Without it, matches are told from
            the other candidates.
    """
    pairs = _Pairs(compared, chance)
    total = chance.total if chance else 0.0
    match = start
    weights = np.zeros((len(i), len(compared)))
    by_level: list[Floats] = []
    odds = 1.0
    for _ in range(_ROUNDS):
        by_level = pairs.weigh(match, weights)
        odds = prior_odds(float(match.sum()), i, j, unique, total)
        before, match = match, compete(weights.sum(axis=1) + np.log2(odds), i, j, unique, known)
        if float(np.abs(match - before).sum()) < _SETTLED * max(float(match.sum()), 1.0):
            break
    return Model(weights, by_level, odds, match, total=total)
