"""The probability that two records belong together, from what their fields say.

The model is that of Fellegi and Sunter (1969): each level of each field has a probability among
matches (m) and among the other candidates (u), and the logarithm of their ratio is its weight;
weights add up. `learn` finds them by expectation maximisation (Winkler 1988; Splink does the
same), with changes. u is that of the candidates, not of random pairs, so that what made a pair a
candidate is not counted as evidence again. The levels of a field are ordered, and a higher one
never weighs less (pool adjacent violators). And where a record has one partner at most, its
candidates compete: the expectation is over "one of these, or none", as in the bipartite models of
Sadinle (2017), which tells the best candidate of a record from the merely good ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_ROUNDS: Final = 50
_SETTLED: Final = 1e-4
"""Largest change of a pair's probability, in the mean, at which the model stands still."""

_MESSAGES: Final = 12
"""Rounds of messages between the two sides; chains of rivals are seldom longer."""

_SUREST: Final = 40.0
"""Largest log odds in either direction: keeps the sums of rivals exact in double precision."""

CERTAIN: Final = 100.0
"""Log odds (base 2) of what a person has decided: beyond whatever fields can say."""

STRONGEST: Final = 12.0
"""Largest weight of one field in either direction (base 2), a chance of 1 in 4,096: no learned
frequency is surer than the data's own errors."""


@dataclass(frozen=True)
class Uniqueness:
    """Whether a record has one partner at most: of the left dataset, and of the right one."""

    left: bool
    right: bool


@dataclass(frozen=True)
class Model:
    """What was learned: a weight for each field of each candidate pair, and the probability."""

    weights: Floats
    """Base-2 logarithms of likelihood ratios, shape (pairs, fields)."""
    by_level: list[Floats]
    """The weight of each level of each field, for pairs that were no candidates."""
    odds: float
    """Of a candidate pair before its fields are seen, both records being free."""
    probability: Floats
    """Of each candidate pair, its competitors taken into account."""
    relation: list[Floats] = field(default_factory=list)
    """Of each level, how much more often it is seen among related pairs than among unrelated ones
    (base-2 logarithm); empty where the two are not told apart."""
    share: float = 0.0
    """Of related pairs among those that do not match."""
    total: float = 0.0
    """Pairs that a candidate is one of, where the weights are against all of these; 0 where they
    are against the other candidates."""

    @property
    def score(self) -> Floats:
        """Return the sum of the weights and of the prior's, without competition."""
        return np.asarray(self.weights.sum(axis=1) + np.log2(self.odds))

    @property
    def alone(self) -> Floats:
        """Return the base-2 log odds that each candidate would have without any rival."""
        pairs = self.total or max(len(self.probability), 1)
        share = min(max(float(self.probability.sum()) / pairs, 1e-15), 0.9)
        return np.asarray(self.weights.sum(axis=1) + np.log2(share / (1 - share)))


def judge(model: Model, i: Rows, j: Rows, unique: Uniqueness, known: Floats | None = None) -> Model:
    """Return a model with known weights: only how many matches there are is learned.

    Weights are learned with competition on one side at least: without it nothing holds the
    expectation to what a match is, and where matches are few it slides to some other grouping of
    the records, as all of one town.
    """
    probability = model.probability
    odds = model.odds
    score = model.weights.sum(axis=1)
    for _ in range(_ROUNDS):
        odds = prior_odds(float(probability.sum()), i, j, unique, model.total)
        before, probability = probability, compete(score + np.log2(odds), i, j, unique, known)
        if np.abs(probability - before).sum() < _SETTLED * max(probability.sum(), 1):
            break
    return replace(model, odds=odds, probability=probability)


def prior_odds(matches: float, i: Rows, j: Rows, unique: Uniqueness, total: float = 0.0) -> float:
    """Return the odds of a pair before its fields are seen, given the expected matches.

    Without competition, p / (1 - p) with p the share of matches among the candidates. Where
    records compete, most candidates are ruled out by another match of one of their records, and
    the odds that count are those between two records that are still free: p (1 - p) / (f g), f
    and g being the shares of free records on the left and on the right (the Bethe approximation
    of matchings on a graph; exact on trees).

    With a `total`, the share is that of all these pairs.
    """
    share = min(max(matches, 0.5) / max(total or len(i), 1), 0.9)
    odds = share * (1 - share) if unique.left or unique.right else share / (1 - share)
    if unique.left:
        odds /= _free(matches, i)
    if unique.right:
        odds /= _free(matches, j)
    return odds


def _free(matches: float, rows: Rows) -> float:
    records = len(np.unique(rows))
    return (max(records - matches, 0.0) + 1) / (records + 2)


def compete(
    score: Floats, i: Rows, j: Rows, unique: Uniqueness, known: Floats | None = None
) -> Floats:
    """Return probabilities from base-2 log odds, shared out among a record's candidates.

    Belief propagation on the graph of candidates: a record tells each candidate how free the
    others leave it. Exact on trees, and it settles on any graph (Bayati and others 2007).
    """
    known = np.zeros(len(score)) if known is None else known
    odds = np.exp2(np.clip(score, -_SUREST, _SUREST) + known)
    free_left = np.ones(len(odds))
    free_right = np.ones(len(odds))
    for _ in range(_MESSAGES if unique.left and unique.right else 1):
        if unique.left:
            free_left = _freedom(odds * free_right, i)
        if unique.right:
            free_right = _freedom(odds * free_left, j)
    joint = odds * free_left * free_right
    found = joint / (1 + joint)
    # A person may say that a record has two partners where all others have one.
    found[known >= CERTAIN] = 1.0
    found[known <= -CERTAIN] = 0.0
    return found


def _freedom(claims: Floats, rows: Rows) -> Floats:
    """Return for each pair the chance that its record is not taken by another pair."""
    others = np.bincount(rows, claims)[rows] - claims
    return 1 / (1 + np.maximum(others, 0))
