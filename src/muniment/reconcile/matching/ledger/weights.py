"""What each kind of agreement is worth, learnt from the two ledgers without labels.

Fellegi and Sunter's model (JASA 64, 1969): each agreement level has a share m among true pairs
and a share u among pairs drawn evenly; its weight is log(m / u). The u shares are counted. The m
shares start from rough guesses and are re-estimated from the pairs the current weights choose
(expectation maximisation, Winkler 2000), smoothed by the guesses so that ten records do not
unlearn them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from muniment.reconcile.matching.ledger.amounts import Relation
from muniment.reconcile.matching.ledger.references import Likeness

Floats = npt.NDArray[np.float64]
NAME_EDGES = np.array([0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.9, 0.975])
"""Levels of name likeness, nine of them."""
LAG_EDGES = np.array([-60, -30, -14, -6, -2, 0, 1, 3, 6, 11, 21, 41, 61, 91, 151], dtype=float)
"""Days from the right date to the left one: finer about zero, where the days of one bank lie."""
_NAME_EDGES: list[float] = NAME_EDGES.tolist()
_LAG_EDGES: list[float] = LAG_EDGES.tolist()
_NAME_GUESS = np.array([0.05, 0.03, 0.04, 0.06, 0.08, 0.12, 0.14, 0.12, 0.36])
_MENTION = np.array([0.5, 0.02, 0.13, 0.35])
"""Of true pairs whose left record mentions any: none of this one, a slip, its number, exactly."""
_CLAIM = np.array([0.12, 0.04, 0.1, 0.74])
_RELATION = {
    Relation.equal: 0.76, Relation.near: 0.1, Relation.swapped: 0.02,
    Relation.part: 0.09, Relation.over: 0.03,
}  # fmt: skip
_SHAPE = {
    "single": 0.6, "group": 0.08, "lines": 0.1, "gathered": 0.05, "several": 0.01, "offset": 0.03,
}  # fmt: skip
_STRENGTH = 12.0
"""How many pairs a guess is worth."""
_LEAST = 1e-4
_UNSETTLED = 0.2


class Features(NamedTuple):
    """Agreement of one left and one right record, apart from their amounts."""

    name: float
    """Likeness from 0 to 1; below zero where either has no name."""
    tail: float
    """Share of right records at least so like the left one."""
    days: float
    """Left date minus right date; not-a-number where missing."""
    mention: Likeness | None
    """None: the left record mentions no right one at all, and is mentioned by none."""
    claim: Likeness | None
    """None: nothing was claimed of the left record."""
    name_level: int
    lag_level: int
    """Below zero where a day is missing."""

    @classmethod
    def of(
        cls,
        name: float,
        tail: float,
        days: float,
        mention: Likeness | None,
        claim: Likeness | None,
    ) -> Features:
        """Set the levels from the values."""
        lag = -1 if math.isnan(days) else bisect_right(_LAG_EDGES, days)
        return cls(name, tail, days, mention, claim, bisect_right(_NAME_EDGES, name), lag)


@dataclass(slots=True)
class Weights:
    """Shares m and u by level."""

    name_m: Floats
    name_u: Floats
    lag_m: Floats
    lag_u: Floats
    mention_m: Floats
    mention_u: Floats
    claim_m: Floats
    claim_u: Floats
    relation_m: dict[Relation, float]
    shape: dict[str, float] = field(default_factory=dict)
    """Share of left records settled in each way."""
    unsettled: float = _UNSETTLED
    """Share of left records that nothing settles: the odds of a hypothesis are against it."""

    def name(self, features: Features) -> float:
        """Return the log likelihood ratio of the names.

        Chance is the larger of two shares: of all pairs at this level, and of the right records
        as like this left one. So a name many share says less, and the best of bad names nothing.
        """
        if features.name < 0:
            return 0.0
        level = features.name_level
        chance = self.name_u[level]
        if level >= 3:
            chance = max(chance, min(features.tail, 1.0))
        return math.log(self.name_m[level] / chance)

    def lag(self, features: Features) -> float:
        """Return the log likelihood ratio of the days between."""
        level = features.lag_level
        if level < 0:
            return 0.0
        return math.log(self.lag_m[level] / self.lag_u[level])

    def mention(self, features: Features) -> float:
        """Return the log likelihood ratio of a code that both records carry."""
        if features.mention is None:
            return 0.0
        return math.log(self.mention_m[features.mention] / self.mention_u[features.mention])

    def claim(self, level: Likeness | None) -> float:
        """Return the log likelihood ratio of a line of evidence naming the right record so."""
        if level is None:
            return 0.0
        return math.log(self.claim_m[level] / self.claim_u[level])

    def pair(self, features: Features) -> float:
        """Return the log likelihood ratio of all but amounts and claims."""
        return self.name(features) + self.lag(features) + self.mention(features)


def first_weights(
    names: Sequence[float],
    days: Sequence[float],
    mention_u: Floats,
    claim_u: Floats,
) -> Weights:
    """Return the guesses, with u counted on pairs drawn evenly.

    Args:
        names: likeness of names of pairs drawn evenly.
        days: days between them.
        mention_u: share of pairs drawn evenly by level of likeness of a mentioned code.
        claim_u: the same for claimed codes.
    """
    name_u = shares(np.asarray(names), NAME_EDGES, None, 0.0)
    lag_u = _smooth(shares(np.asarray(days), LAG_EDGES, None, 0.0))
    return Weights(
        _NAME_GUESS / _NAME_GUESS.sum(), name_u, lag_u.copy(), lag_u,
        _MENTION, mention_u, _CLAIM, claim_u, dict(_RELATION), dict(_SHAPE),
    )  # fmt: skip


def shares(
    values: Floats,
    edges: Floats,
    prior: Floats | None,
    strength: float,
    sure: Floats | None = None,
) -> Floats:
    """Return the share of each level, smoothed towards a prior (evenly where there is none)."""
    there = ~np.isnan(values)
    levels = len(edges) + 1
    counts = np.bincount(
        np.searchsorted(edges, values[there], side="right"),
        weights=None if sure is None else sure[there],
        minlength=levels,
    )
    smoothing = np.full(levels, 0.2) if prior is None else strength * prior
    total = counts + smoothing
    return np.asarray(np.maximum(total / total.sum(), _LEAST), dtype=np.float64)


def _smooth(values: Floats) -> Floats:
    """Return shares blended with their neighbours: lags have no sharp edges."""
    padded = np.pad(values, 1, mode="edge")
    blended = 0.2 * padded[:-2] + 0.6 * padded[1:-1] + 0.2 * padded[2:]
    return np.asarray(blended / blended.sum(), dtype=np.float64)


def relearn(
    weights: Weights,
    chosen: Sequence[tuple[float, Features, Likeness | None, Relation | None]],
    shape: dict[str, float],
    lefts: int,
) -> Weights:
    """Return weights with the m shares of the pairs that are probably true.

    Args:
        weights: of the round before; its u shares are kept.
        chosen: the probability of each pair, what agrees, and how its amounts relate.
        shape: expected number of left records settled in each way.
        lefts: left records in all.
    """
    sure = np.array([p for p, *_ in chosen], dtype=np.float64)
    names = np.array([f.name if f.name >= 0 else math.nan for _, f, _, _ in chosen])
    days = np.array([f.days for _, f, _, _ in chosen], dtype=np.float64)
    settled = {
        kind: (shape.get(kind, 0.0) + _STRENGTH * guess) / (lefts + _STRENGTH)
        for kind, guess in _SHAPE.items()
    }
    related = dict.fromkeys(_RELATION, 0.0)
    for p, _, _, relation in chosen:
        if relation is not None:
            related[relation] += p
    total = sum(related.values()) + _STRENGTH
    mentions = [(p, f.mention) for p, f, _, _ in chosen if f.mention is not None]
    claims = [(p, c) for p, _, c, _ in chosen if c is not None]
    left_over = max(lefts - sum(shape.values()), 0.0)
    return Weights(
        shares(names, NAME_EDGES, _NAME_GUESS / _NAME_GUESS.sum(), _STRENGTH, sure),
        weights.name_u,
        _smooth(shares(days, LAG_EDGES, weights.lag_u, _STRENGTH, sure)), weights.lag_u,
        _levels(mentions, _MENTION), weights.mention_u,
        _levels(claims, _CLAIM), weights.claim_u,
        {r: (related[r] + _STRENGTH * guess) / total for r, guess in _RELATION.items()},
        {k: min(max(v, 0.003), 0.95) for k, v in settled.items()},
        (left_over + _STRENGTH * _UNSETTLED) / (lefts + _STRENGTH),
    )  # fmt: skip


def _levels(found: Sequence[tuple[float, Likeness]], guess: Floats) -> Floats:
    levels = np.array([level for _, level in found], dtype=np.int64)
    sure = np.array([p for p, _ in found], dtype=np.float64)
    total = np.bincount(levels, weights=sure, minlength=4)[:4] + _STRENGTH * guess
    return np.asarray(np.maximum(total / total.sum(), _LEAST), dtype=np.float64)
