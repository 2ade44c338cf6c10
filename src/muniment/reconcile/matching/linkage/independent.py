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

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from muniment.reconcile.matching.linkage.comparisons import (
    Compared,
    compare_field,
    equal_by_level,
)
from muniment.reconcile.matching.linkage.fields import FieldPair, Kind
from muniment.reconcile.matching.linkage.model import (
    STRONGEST,
    Model,
)
from muniment.reconcile.matching.linkage.sides import Side

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_DRAWN: Final = 100_000
"""Random pairs that show how often values are alike by chance; equal ones are counted exactly."""

_SEED: Final = 1
"""Of the drawing: the same datasets have the same pairs."""

_TOGETHER: Final = 0.3
"""Correlation of two fields' agreement among what was found from which it cannot be matches alone.
A street and a town that were moved or mistyped together reach a third; people and their
households are near one."""

_SPREAD: Final = 1e-4
"""Least variance of two fields' agreement that is looked at: where all agree nothing is learned."""

_FEWEST: Final = 10.0
"""Expected matches below which nothing can be said about how their fields agree."""


@dataclass(frozen=True)
class Chance:
    """How alike records are by chance."""

    unlike: list[Floats]
    """How often each level of each field is seen among random pairs of records."""
    total: float
    """Pairs of records that there are, candidates or not."""


def drawn(fields: list[FieldPair], ours: Side, theirs: Side) -> Chance | None:
    """Return how alike records are by chance; None for several measures of the same texts."""
    if len(fields) < 2 or {field.kind for field in fields} & {Kind.RECORD, Kind.MARKS}:
        return None
    same = ours is theirs
    left, right = ours.vectors.shape[0], theirs.vectors.shape[0]
    some = np.random.default_rng(_SEED)
    i, j = (some.integers(0, size, _DRAWN) for size in (left, right))
    if same:
        i, j = i[i != j], j[i != j]
    unlike = []
    for field in fields:
        compared = compare_field(field, ours.texts, theirs.texts, i, j)
        level = compared.level[compared.level >= 0]
        count = np.bincount(level, minlength=compared.levels).astype(np.float64)
        equal = equal_by_level(field, ours.texts, theirs.texts, same=same)
        if equal is not None:
            count = np.where(np.isnan(equal), count, equal * len(level))
        unlike.append(count)
    return Chance(unlike, float(left) * (right - same))


def are_independent(model: Model, compared: list[Compared]) -> bool:
    """Return whether no two fields agree together among what was found, more than matches would.

    Who is the same person agrees in each field but for slips, which strike one field or another.
    Where one group agrees in surname and street and another in birth and mail address, some are
    persons and some households.
    """
    # Rivals are not looked at: relatives that lose to a match are relatives still.
    p = 1 / (1 + np.exp2(-np.clip(model.alone, -STRONGEST * 4, STRONGEST * 4)))
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
