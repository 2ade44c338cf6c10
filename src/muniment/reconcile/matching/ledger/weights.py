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
from dataclasses import dataclass, field, replace
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
TIE = 0.05
"""Likenesses this near are the same: words beside the name move them by so much."""
_NAME_EDGES: list[float] = NAME_EDGES.tolist()
_LAG_EDGES: list[float] = LAG_EDGES.tolist()
_NAME_GUESS = np.array([0.05, 0.03, 0.04, 0.06, 0.08, 0.12, 0.14, 0.12, 0.36])
_BEST_GUESS = np.array([0.02, 0.05, 0.1, 0.3, 0.5, 0.7, 0.85, 0.93, 0.97])
"""Of left records whose best name is of this level, how many belong to one of that name."""
TELLING = 3
"""Level of likeness from which the best name of a left record says anything at all."""
_MENTION = np.array([0.5, 0.02, 0.13, 0.35])
"""Of true pairs whose left record mentions any: none of this one, a slip, its number, exactly."""
_CLAIM = np.array([0.12, 0.04, 0.1, 0.74])
_RELATION = {
    Relation.equal: 0.72, Relation.slight: 0.04, Relation.near: 0.06, Relation.apart: 0.04,
    Relation.swapped: 0.02, Relation.part: 0.09, Relation.over: 0.03,
}  # fmt: skip
_SHAPE = {
    "single": 0.6, "group": 0.08, "lines": 0.1, "gathered": 0.05, "several": 0.01, "offset": 0.03,
}  # fmt: skip
_ROUND = 0.3
"""Of amounts that differ, how many are a whole or half percent of the other."""
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
    best_level: int
    """Level of the right name most like the left one."""
    is_best: bool
    """Whether the right record has that name, or one as like."""

    @classmethod
    def of(
        cls,
        names: tuple[float, float, float],
        days: float,
        mention: Likeness | None,
        claim: Likeness | None,
    ) -> Features:
        """Set the levels from the values.

        Args:
            names: their likeness, its tail, and the likeness of the likest right name.
            days: between the records.
            mention: of a code.
            claim: of the evidence.
        """
        name, tail, best = names
        lag = -1 if math.isnan(days) else bisect_right(_LAG_EDGES, days)
        return cls(
            name, tail, days, mention, claim, bisect_right(_NAME_EDGES, name), lag,
            bisect_right(_NAME_EDGES, max(best, name)), name >= best - TIE,
        )  # fmt: skip

    def speaks_for_it(self) -> bool:
        """Whether a name, a code or a line of evidence is about both records."""
        named = self.is_best and self.name_level >= TELLING
        return named or bool(self.mention) or bool(self.claim)


class Example(NamedTuple):
    """A pair that is true with some probability."""

    probability: float
    features: Features
    claim: Likeness | None
    relation: Relation | None
    rounded: float


@dataclass(slots=True)
class Weights:
    """Shares m and u by level."""

    name_m: Floats
    name_u: Floats
    best_m: Floats
    lag_m: Floats
    lag_u: Floats
    mention_m: Floats
    mention_u: Floats
    claim_m: Floats
    claim_u: Floats
    relation_m: dict[Relation, float]
    round_m: float = _ROUND
    """Share of true pairs of differing amounts of which one is a round share of the other."""
    shape: dict[str, float] = field(default_factory=dict)
    """Share of left records settled in each way."""
    unsettled: float = _UNSETTLED
    """Share of left records that nothing settles: the odds of a hypothesis are against it."""

    def name(self, features: Features) -> float:
        """Return the log likelihood ratio of the names.

        The name most like the left one is the right one as often as its level allows, and by
        chance as often as right records have it: so a name that many share says less, and a name
        that is cut off or misspelt says as much as a whole one if no other is nearer. Other names
        have what is left. Where even the best name is unlike, the text names nobody.
        """
        level, best = features.name_level, features.best_level
        if features.name < 0 or best < TELLING:
            return 0.0
        if features.is_best:
            return math.log(self.best_m[best] / min(max(features.tail, 1e-6), 1.0))
        chance = self.name_u[level]
        if level >= TELLING:
            chance = max(chance, min(features.tail, 1.0))
            chance /= 1.0 - self.best_m[best]
        return math.log(self.name_m[level] / chance)

    def lag(self, features: Features) -> float:
        """Return the log likelihood ratio of the days between."""
        level = features.lag_level
        if level < 0:
            return 0.0
        return math.log(self.lag_m[level] / self.lag_u[level])

    def lags(self) -> Floats:
        """Return the log likelihood ratio of each level of days between."""
        return np.asarray(np.log(self.lag_m / self.lag_u), dtype=np.float64)

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

    def relation(self, relation: Relation, chance: float, rounded: float) -> float:
        """Return the log likelihood ratio of two amounts.

        Args:
            relation: of them.
            chance: minus the log of how often chance relates them so.
            rounded: as `round_share` returns it; 0 where the amounts are equal.
        """
        worth = math.log(self.relation_m[relation]) + chance
        if rounded > 0:
            worth += math.log(self.round_m / rounded)
        elif rounded < 0:
            worth += math.log((1.0 - self.round_m) / (1.0 + rounded))
        return worth

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
        _NAME_GUESS / _NAME_GUESS.sum(), name_u, _BEST_GUESS, lag_u.copy(), lag_u,
        _MENTION, mention_u, _CLAIM, claim_u, dict(_RELATION), _ROUND, dict(_SHAPE),
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


def reshaped(weights: Weights, shape: dict[str, float], lefts: int) -> Weights:
    """Return weights with the shares of what is settled in each way, and of what is not.

    Args:
        weights: whose other shares are kept.
        shape: expected number of left records settled in each way.
        lefts: left records in all.
    """
    settled = {
        kind: (shape.get(kind, 0.0) + _STRENGTH * guess) / (lefts + _STRENGTH)
        for kind, guess in _SHAPE.items()
    }
    left_over = max(lefts - sum(shape.values()), 0.0)
    return replace(
        weights,
        shape={kind: min(max(share, 0.003), 0.95) for kind, share in settled.items()},
        unsettled=(left_over + _STRENGTH * _UNSETTLED) / (lefts + _STRENGTH),
    )


def relearn(
    weights: Weights,
    chosen: Sequence[Example],
    shape: dict[str, float],
    lefts: int,
) -> Weights:
    """Return weights with the m shares of the pairs that are probably true.

    Args:
        weights: of the round before; its u shares are kept.
        chosen: pairs, with how likely each is true.
        shape: expected number of left records settled in each way.
        lefts: left records in all.
    """
    sure = np.array([e.probability for e in chosen], dtype=np.float64)
    names = np.array([e.features.name if e.features.name >= 0 else math.nan for e in chosen])
    days = np.array([e.features.days for e in chosen], dtype=np.float64)
    related = dict.fromkeys(_RELATION, 0.0)
    rounded, differing = _STRENGTH * _ROUND, _STRENGTH
    for example in chosen:
        if example.relation is not None:
            related[example.relation] += example.probability
        if example.rounded:
            differing += example.probability
            rounded += example.probability * (example.rounded > 0)
    total = sum(related.values()) + _STRENGTH
    mentions = [
        (e.probability, e.features.mention) for e in chosen if e.features.mention is not None
    ]
    claims = [(e.probability, e.claim) for e in chosen if e.claim is not None]
    learnt = Weights(
        shares(names, NAME_EDGES, _NAME_GUESS / _NAME_GUESS.sum(), _STRENGTH, sure),
        weights.name_u,
        _best(chosen),
        _smooth(shares(days, LAG_EDGES, weights.lag_u, _STRENGTH, sure)), weights.lag_u,
        _levels(mentions, _MENTION), weights.mention_u,
        _levels(claims, _CLAIM), weights.claim_u,
        {r: (related[r] + _STRENGTH * guess) / total for r, guess in _RELATION.items()},
        rounded / differing,
    )  # fmt: skip
    return reshaped(learnt, shape, lefts)


def _best(chosen: Sequence[Example]) -> Floats:
    """Return by level how many records belong to one of the name most like theirs."""
    hits, total = _STRENGTH * _BEST_GUESS, np.full(len(_BEST_GUESS), _STRENGTH)
    for example in chosen:
        if example.features.name >= 0:
            total[example.features.best_level] += example.probability
            hits[example.features.best_level] += example.probability * example.features.is_best
    return np.asarray(np.minimum(hits / total, 0.995), dtype=np.float64)


def _levels(found: Sequence[tuple[float, Likeness]], guess: Floats) -> Floats:
    levels = np.array([level for _, level in found], dtype=np.int64)
    sure = np.array([p for p, _ in found], dtype=np.float64)
    total = np.bincount(levels, weights=sure, minlength=4)[:4] + _STRENGTH * guess
    return np.asarray(np.maximum(total / total.sum(), _LEAST), dtype=np.float64)
