"""The probability that two records belong together, learned from the candidates without labels.

The model is that of Fellegi and Sunter (1969): each level of each field has a probability among
matches (m) and among the other candidates (u), and the logarithm of their ratio is its weight;
weights add up. They are found by expectation maximisation (Winkler 1988; Splink does the same),
with three changes. u is that of the candidates, not of random pairs, so that what made a pair a
candidate is not counted as evidence again. The levels of a field are ordered, and a higher one
never weighs less (pool adjacent violators). And where a record has one partner at most, its
candidates compete: the expectation is over "one of these, or none", as in the bipartite models of
Sadinle (2017), which tells the best candidate of a record from the merely good ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from muniment.reconcile.matching.linkage.comparisons import Compared

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_ROUNDS: Final = 50
_SETTLED: Final = 1e-4
"""Largest change of a pair's probability, in the mean, at which the model stands still."""

_MESSAGES: Final = 12
"""Rounds of messages between the two sides; chains of rivals are seldom longer."""

_SUREST: Final = 40.0
"""Largest log odds in either direction: keeps the sums of rivals exact in double precision."""

_PRIOR: Final = 0.5
"""Imagined observations of each level on both sides (Jeffreys' prior), so that what was not seen
among a hundred matches is held to happen once in two hundred."""

_CELL: Final = 5.0
"""Expected observations of a pair of values from which on their own count outweighs what their
likeness says."""

_STRONGEST: Final = 12.0
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

    @property
    def score(self) -> Floats:
        """Return the sum of the weights and of the prior's, without competition."""
        return np.asarray(self.weights.sum(axis=1) + np.log2(self.odds))


def learn(compared: list[Compared], i: Rows, j: Rows, start: Floats, unique: Uniqueness) -> Model:
    """Learn the model from the candidate pairs.

    Args:
        compared: the levels of every field.
        i: left row of each pair.
        j: right row of each pair.
        start: first guess of each pair's probability.
        unique: which side's records have one partner at most; one of them must (see `judge`).
    """
    probability = start
    odds = 1.0
    weights = np.zeros((len(i), len(compared)))
    by_level = [np.zeros(field.levels) for field in compared]
    for _ in range(_ROUNDS):
        for place, field in enumerate(compared):
            weights[:, place], by_level[place] = _weights(field, probability)
        odds = _prior_odds(float(probability.sum()), i, j, unique)
        score = weights.sum(axis=1) + np.log2(odds)
        before, probability = probability, compete(score, i, j, unique)
        if np.abs(probability - before).sum() < _SETTLED * max(probability.sum(), 1):
            break
    return Model(weights, by_level, odds, probability)


def judge(model: Model, i: Rows, j: Rows, unique: Uniqueness) -> Model:
    """Return a model with known weights: only how many matches there are is learned.

    Weights are learned with competition on one side at least: without it nothing holds the
    expectation to what a match is, and where matches are few it slides to some other grouping of
    the records, as all of one town.
    """
    probability = model.probability
    odds = model.odds
    score = model.weights.sum(axis=1)
    for _ in range(_ROUNDS):
        odds = _prior_odds(float(probability.sum()), i, j, unique)
        before, probability = probability, compete(score + np.log2(odds), i, j, unique)
        if np.abs(probability - before).sum() < _SETTLED * max(probability.sum(), 1):
            break
    return replace(model, odds=odds, probability=probability)


def _prior_odds(matches: float, i: Rows, j: Rows, unique: Uniqueness) -> float:
    """Return the odds of a pair before its fields are seen, given the expected matches.

    Without competition, p / (1 - p) with p the share of matches among the candidates. Where
    records compete, most candidates are ruled out by another match of one of their records, and
    the odds that count are those between two records that are still free: p (1 - p) / (f g), f
    and g being the shares of free records on the left and on the right (the Bethe approximation
    of matchings on a graph; exact on trees).
    """
    share = min(max(matches, 0.5) / max(len(i), 1), 0.9)
    odds = share * (1 - share) if unique.left or unique.right else share / (1 - share)
    if unique.left:
        odds /= _free(matches, i)
    if unique.right:
        odds /= _free(matches, j)
    return odds


def _free(matches: float, rows: Rows) -> float:
    records = len(np.unique(rows))
    return (max(records - matches, 0.0) + 1) / (records + 2)


def compete(score: Floats, i: Rows, j: Rows, unique: Uniqueness) -> Floats:
    """Return probabilities from base-2 log odds, shared out among a record's candidates.

    Belief propagation on the graph of candidates: a record tells each candidate how free the
    others leave it. Exact on trees, and it settles on any graph (Bayati and others 2007).
    """
    odds = np.exp2(np.clip(score, -_SUREST, _SUREST))
    free_left = np.ones(len(odds))
    free_right = np.ones(len(odds))
    for _ in range(_MESSAGES if unique.left and unique.right else 1):
        if unique.left:
            free_left = _freedom(odds * free_right, i)
        if unique.right:
            free_right = _freedom(odds * free_left, j)
    joint = odds * free_left * free_right
    return joint / (1 + joint)


def _freedom(claims: Floats, rows: Rows) -> Floats:
    """Return for each pair the chance that its record is not taken by another pair."""
    others = np.bincount(rows, claims)[rows] - claims
    return 1 / (1 + np.maximum(others, 0))


def _weights(field: Compared, probability: Floats) -> tuple[Floats, Floats]:
    """Return the weight of each pair, and of each level, given each pair's probability."""
    known = field.level >= 0
    level = field.level[known]
    p = probability[known]
    m_count = np.bincount(level, p, field.levels).astype(np.float64)
    u_count = np.bincount(level, 1 - p, field.levels).astype(np.float64)
    ratio = _increasing(m_count, u_count)
    by_level = np.clip(np.log2(ratio), -_STRONGEST, _STRONGEST)
    weight = by_level[level]
    if field.cell is not None:
        weight = _by_cell(field.cell[known], weight, p)
    found = np.zeros(len(field.level))
    found[known] = np.clip(weight, -_STRONGEST, _STRONGEST)
    return found, by_level


def _increasing(m_count: Floats, u_count: Floats) -> Floats:
    """Return m / u by level, smoothed, and never less at a higher level.

    Neighbouring levels in the wrong order are pooled (pool adjacent violators), which is the
    maximum likelihood under the order.
    """
    blocks: list[list[float]] = []
    for m, u in zip(m_count.tolist(), u_count.tolist(), strict=True):
        if m + u == 0:
            blocks.append([0.0, 0.0, 1])
        else:
            blocks.append([m, u, 1])
        while len(blocks) > 1 and _ratio(blocks[-2]) >= _ratio(blocks[-1]):
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    m_total = m_count.sum() + _PRIOR * len(blocks)
    u_total = u_count.sum() + _PRIOR * len(blocks)
    found = []
    for m, u, size in blocks:
        ratio = ((m + _PRIOR) / m_total) / ((u + _PRIOR) / u_total)
        found.extend([ratio] * int(size))
    return np.maximum.accumulate(np.asarray(found))


def _ratio(block: list[float]) -> float:
    return (block[0] + 1e-9) / (block[1] + 1e-9)


def _by_cell(cell: Rows, weight: Floats, p: Floats) -> Floats:
    """Return the weight of each pair of values where few are possible.

    Two names of one thing ("SIGMOD" and its full title) share no letters, yet go together. The
    expected count of a pair of values among matches, if they did not go together, is the count of
    matches times its share among the others; the ratio of seen to expected is its weight, drawn
    to that of the values' likeness while few are expected.
    """
    _, code = np.unique(cell, return_inverse=True)
    seen = np.bincount(code, p)
    others = np.bincount(code, 1 - p)
    expected = p.sum() * (others + 0.1) / (others.sum() + 0.1 * len(others))
    alike = np.exp2(np.bincount(code, weight) / np.bincount(code))
    ratio = (seen + _CELL * np.minimum(alike, 1) + 1e-9) / (expected + _CELL / np.maximum(alike, 1))
    return np.asarray(np.log2(ratio)[code])
