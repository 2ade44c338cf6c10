"""A model of independent fields: the classical one, against pairs of records drawn at random.

Fellegi and Sunter's model with two classes, matches and all other pairs of records (not only the
candidates), whose levels are independent within each class. What is no match is known from random
pairs, as in Splink: candidates were chosen for being alike, so that whoever differs in one field
agrees in another, and a model that learns its non-matches from them may take a month of birth
for a person. The pairs that are no candidates are held to be no matches.

Where it fails it shows: households, albums and hotels are taken for matches, and then fields agree
together among what it found, which among matches proper they do not (see `are_independent`).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from muniment.reconcile.matching.linkage.comparisons import (
    Compared,
    compare_field,
    equal_by_level,
)
from muniment.reconcile.matching.linkage.fields import FieldPair, Kind
from muniment.reconcile.matching.linkage.level_weights import increasing
from muniment.reconcile.matching.linkage.model import (
    STRONGEST,
    Model,
    Uniqueness,
    compete,
    prior_odds,
)
from muniment.reconcile.matching.linkage.sides import Side

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_DRAWN: Final = 100_000
"""Random pairs that show how often values are alike by chance; equal ones are counted exactly."""

_SEED: Final = 1
"""Of the drawing: the same datasets have the same pairs."""

_ROUNDS: Final = 50
_SETTLED: Final = 1e-4
"""Largest change of the pairs' probabilities, by their sum, at which the model stands still."""

_TOGETHER: Final = 0.3
"""Correlation of two fields' agreement among what was found from which it cannot be matches alone.
A street and a town that were moved or mistyped together reach a third; people and their
households are near one."""

_SPREAD: Final = 1e-4
"""Least variance of two fields' agreement that is looked at: where all agree nothing is learned."""

_FEWEST: Final = 10.0
"""Expected matches below which nothing can be said about how their fields agree."""


def drawn(fields: list[FieldPair], ours: Side, theirs: Side) -> list[Floats]:
    """Return how often each level of each field is seen among random pairs of records."""
    sizes = ours.vectors.shape[0], theirs.vectors.shape[0]
    some = np.random.default_rng(_SEED)
    i, j = (some.integers(0, size, _DRAWN) for size in sizes)
    if ours is theirs:
        i, j = i[i != j], j[i != j]
    found = []
    for field in fields:
        level = compare_field(field, ours.texts, theirs.texts, i, j).level
        there = level[level >= 0]
        equal = equal_by_level(field, ours.texts, theirs.texts, same=ours is theirs)
        if equal is None:
            levels = int(compare_field(field, ours.texts, theirs.texts, i[:1], j[:1]).levels)
            found.append(np.bincount(there, minlength=levels).astype(np.float64))
            continue
        count = np.bincount(there, minlength=len(equal)).astype(np.float64)
        found.append(np.where(np.isnan(equal), count, equal * len(there)))
    return found


def learn_independent(
    compared: list[Compared],
    i: Rows,
    j: Rows,
    *,
    start: Floats,
    unlike: list[Floats],
    total: float,
    unique: Uniqueness,
    known: Floats,
) -> Model:
    """Learn the model by expectation maximisation over all pairs of records.

    Args:
        compared: levels of every field of the candidates.
        i: one record of each pair.
        j: the other.
        start: first guess of each pair's probability.
        unlike: how often each level is seen among random pairs, see `drawn`.
        total: pairs of records that there are, candidates or not.
        unique: on which sides a record has one partner at most.
        known: base-2 log odds known beforehand, see `learning.learn`.
    """
    match, odds = start, 1.0
    by_level: list[Floats] = []
    weights = np.zeros((len(i), len(compared)))
    for _ in range(_ROUNDS):
        by_level = [
            _weights(np.bincount(f.level[f.level >= 0], match[f.level >= 0], f.levels), counts)
            for f, counts in zip(compared, unlike, strict=True)
        ]
        odds = prior_odds(float(match.sum()), i, j, unique, total)
        weights = np.stack(
            [np.append(w, 0.0)[f.level] for f, w in zip(compared, by_level, strict=True)], axis=1
        )
        before = match
        match = compete(weights.sum(axis=1) + np.log2(odds), i, j, unique, known)
        if np.abs(match - before).sum() < _SETTLED * max(float(match.sum()), 1.0):
            break
    return Model(weights, by_level, odds, match, total=total)


def are_independent(model: Model, compared: list[Compared]) -> bool:
    """Return whether no two fields agree together among what was found, more than matches would.

    Who is the same person agrees in each field but for slips, which strike one field or another.
    Where one group agrees in surname and street and another in birth and mail address, some are
    persons and some households. Several measures of the same texts never are independent.
    """
    if len(compared) < 2 or {f.fields.kind for f in compared} & {Kind.RECORD, Kind.MARKS}:
        return False
    # Rivals are not looked at: relatives that lose to a match are relatives still.
    share = float(model.probability.sum()) / (model.total or len(model.probability))
    score = model.weights.sum(axis=1) + np.log2(share / (1 - share))
    p = 1 / (1 + np.exp2(-np.clip(score, -STRONGEST * 4, STRONGEST * 4)))
    agrees = np.stack([field.level >= field.agreement for field in compared], axis=1)
    there = np.stack([field.level >= 0 for field in compared], axis=1)
    for a in range(len(compared)):
        for b in range(a):
            mass = p * (there[:, a] & there[:, b])
            if mass.sum() < _FEWEST:
                continue
            one, other = mass @ agrees[:, a] / mass.sum(), mass @ agrees[:, b] / mass.sum()
            both = mass @ (agrees[:, a] & agrees[:, b]) / mass.sum()
            spread = np.sqrt(max(one * (1 - one) * other * (1 - other), _SPREAD))
            if both - one * other > (_TOGETHER + 1 / np.sqrt(mass.sum())) * spread:
                return False
    return True


def _weights(match: npt.NDArray[Any], unlike: Floats) -> Floats:
    return np.clip(np.log2(increasing(match, unlike)), -STRONGEST, STRONGEST)
