"""A model of duplicates: records of one thing, strangers, and those of the same circumstances.

Fields are not independent among pairs that do not match: people of one household share surname,
street and town, editions of a book title and author. Two datasets without duplicates show by
themselves how much such likeness is worth (see `strangers`); one dataset with duplicates does not.
So the pairs that do not match are taken to be of two kinds, related and unrelated, each with its
own frequencies of levels; which pair is of which kind is learned along with everything else. It is
a latent class model (Goodman 1974) of three classes, of which the first one competes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from muniment.reconcile.matching.linkage.comparisons import Compared
from muniment.reconcile.matching.linkage.model import (
    STRONGEST,
    Model,
    Uniqueness,
    compete,
    prior_odds,
)

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_ROUNDS: Final = 60
_SETTLED: Final = 5e-4
"""Change of the probabilities, in the mean, at which the classes stand still."""

_PRIOR: Final = 0.5
"""Imagined observations of each level in each class (Jeffreys' prior)."""

_RARE: Final = 1e-6
"""Least share of related pairs, and of unrelated ones."""


def learn_classes(
    compared: list[Compared],
    i: Rows,
    j: Rows,
    *,
    start: Floats,
    likeness: Floats,
    known: Floats,
    unique: Uniqueness,
) -> Model:
    """Learn the three classes by expectation maximisation; return the model without weights.

    Args:
        compared: levels of every field.
        i: one record of each pair; every pair is there in both directions.
        j: the other.
        start: first guess of each pair's probability to match.
        likeness: of whole records: the more alike that do not match are related to begin with.
        known: base-2 log odds known beforehand, see `learn`.
        unique: whether the candidates of a record compete.
    """
    low, high = np.quantile(likeness, [0.5, 0.99])
    related = np.clip((likeness - low) / max(high - low, 1e-9), 0, 0.95)
    match, stranger = start, 1 - start
    tables: list[tuple[Floats, Floats]] = []
    share, odds = 0.0, 1.0
    for _ in range(_ROUNDS):
        tables = [_tables(field, match, stranger, related) for field in compared]
        share = float((stranger * related).sum() / max(stranger.sum(), 1e-9))
        share = min(max(share, _RARE), 1 - _RARE)
        to_related, to_unrelated = (
            np.sum(
                [_looked_up(f, table[at]) for f, table in zip(compared, tables, strict=True)],
                axis=0,
            )
            for at in (1, 0)
        )
        score, related = against_both(to_related, to_unrelated, share)
        odds = prior_odds(float(match.sum()), i, j, unique)
        before, match = match, compete(score + np.log2(odds), i, j, unique, known)
        # Who loses to a rival may still be a second duplicate: neither a match nor a stranger.
        alone = np.clip(score + np.log2(odds) + known, -1000, 1000)
        stranger = 1 / (1 + np.exp2(alone))
        if np.abs(match - before).sum() < _SETTLED * max(match.sum(), 1):
            break
    return Model(
        np.zeros((len(i), 0)),
        [unrelated for unrelated, _ in tables],
        odds,
        match,
        relation=[unrelated - against for unrelated, against in tables],
        share=share,
    )


def are_copies(model: Model) -> bool:
    """Return whether the related pairs of a model are copies too, only worse ones.

    Relatives are strangers by what tells people of one household apart, editions by their year.
    A class whose pairs are, over all fields together, more like copies than like strangers has
    taken the worse half of the copies.
    """
    copies = sum(max(float(field[-1]), 0.0) for field in model.by_level)
    related = sum(float(field[-1]) for field in model.relation)
    return related > copies / 2


def against_both(related: Floats, unrelated: Floats, share: float) -> tuple[Floats, Floats]:
    """Return the log likelihood ratio of a match to all other pairs, and their kind.

    The kind is how likely a pair that does not match is a related one.

    Args:
        related: base-2 log likelihood ratios of a match to related pairs.
        unrelated: the same to unrelated ones.
        share: of related pairs among those that do not match.
    """
    near, far = np.log2(share) - related, np.log2(1 - share) - unrelated
    both = np.logaddexp2(near, far)
    return -both, np.exp2(near - both)


def _tables(
    field: Compared, match: Floats, stranger: Floats, related: Floats
) -> tuple[Floats, Floats]:
    """Return of each level the log ratios of a match to strangers and to related pairs."""
    there = field.level >= 0
    level = field.level[there]
    shares = []
    for mass in (match, stranger * (1 - related), stranger * related):
        count = np.bincount(level, mass[there], field.levels) + _PRIOR
        shares.append(np.log2(count / count.sum()))
    m, u, r = shares
    return np.clip(m - u, -STRONGEST, STRONGEST), np.clip(m - r, -STRONGEST, STRONGEST)


def _looked_up(field: Compared, by_level: Floats) -> Floats:
    """Return each pair's entry; 0 where a value is missing (level -1, the last place)."""
    return np.append(by_level, 0.0)[field.level]
