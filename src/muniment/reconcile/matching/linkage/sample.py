"""A model of duplicates, learned from a sample of the candidate pairs of one dataset."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from muniment.reconcile.matching.linkage.candidates import NEIGHBOURS, Pairs
from muniment.reconcile.matching.linkage.circumstances import are_copies, learn_classes
from muniment.reconcile.matching.linkage.comparisons import Compared
from muniment.reconcile.matching.linkage.independent import are_independent, drawn
from muniment.reconcile.matching.linkage.learned import Learned, remember, weigh_pairs
from muniment.reconcile.matching.linkage.learning import learn
from muniment.reconcile.matching.linkage.link import first_guess
from muniment.reconcile.matching.linkage.model import Uniqueness, judge
from muniment.reconcile.matching.linkage.sides import Side
from muniment.reconcile.matching.linkage.terms import row_products
from muniment.reconcile.rules import Assignment

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

LEARNED_FROM: Final = 200_000
"""Pairs that a model is learned from at most. By then the weights' errors of chance are far below
those of the data, and learning takes no longer for a larger dataset."""

_SEED: Final = 1
"""Of the choice of records: the same dataset has the same sample."""


def teach(
    compared: list[Compared],
    side: Side,
    pairs: Pairs,
    known: Floats,
    wanted: Assignment = Assignment.AUTO,
) -> Learned:
    """Learn how much each level of each field says of duplicates.

    Args:
        compared: the levels of every field.
        side: the dataset.
        pairs: positions of both records, from 0, each pair once.
        known: base-2 log odds known beforehand, see `learn`.
        wanted: whether a record has one duplicate at most; AUTO: that it may have several.
    """
    sample, share = _sampled(pairs, side.vectors.shape[0])
    i, j = pairs[0][sample], pairs[1][sample]
    # Both directions: the candidates of a record compete, whichever side they stand on.
    forth, back = np.concatenate((i, j)), np.concatenate((j, i))
    both = [_both_ways(field.at(sample)) for field in compared]
    likeness = np.tile(row_products(side.vectors, side.vectors, i, j), 2)
    said = np.tile(known[sample], 2)
    sides = (side.texts, side.texts)
    one, several = Uniqueness(left=True, right=True), Uniqueness(left=False, right=False)
    free = one if wanted is Assignment.ONE_TO_ONE else several
    guess = first_guess(likeness, forth, back)
    chance = drawn([field.fields for field in compared], side, side)
    if chance is not None:
        chance = replace(chance, total=chance.total * share)
        model = learn(both, forth, back, guess, free, known=said, chance=chance)
        if are_independent(model, both):
            return remember(model, both, sides, (forth, back), unique=free)
    learn_with = partial(learn_classes, both, forth, back, likeness=likeness, known=said)
    if wanted is not Assignment.ONE_TO_ONE:
        start = apart(likeness, forth, back)
        if are_copies(learn_with(start=start, unique=several)):
            model = learn(both, forth, back, start, several, known=said)
            return remember(model, both, sides, (forth, back), unique=several)
    model = learn_with(start=guess, unique=one)
    learned = remember(model, both, sides, (forth, back), unique=one)
    if wanted is Assignment.ONE_TO_ONE:
        return learned
    # Records with three copies are usual where there are records with two, and clusters see to it
    # that what does not fit together is kept apart. So nobody competes once it is learned.
    weights = weigh_pairs(learned, both, sides, (forth, back)).astype(np.float64)
    odds = judge(replace(model, weights=weights), forth, back, several, said).odds
    return msgspec.structs.replace(learned, odds=odds, unique_left=False, unique_right=False)


def apart(likeness: Floats, i: Rows, j: Rows) -> Floats:
    """Return where learning starts where records have several copies: their lead over strangers.

    The last of a record's candidates is a stranger, unless it has as many copies as candidates;
    who has fewer candidates has nothing in common with any stranger.
    """
    order = np.lexsort((-likeness, i))
    starts = np.flatnonzero(np.r_[True, i[order][1:] != i[order][:-1]])
    counts = np.diff(np.r_[starts, len(order)])
    many = starts[counts >= NEIGHBOURS]
    strange = np.zeros(int(max(i.max(), j.max())) + 1)
    strange[i[order][many]] = likeness[order][many + NEIGHBOURS - 1]
    base = np.maximum(strange[i], strange[j])
    lead = (likeness - base) / np.maximum(1 - base, 0.05)
    return np.asarray(np.clip(lead, 0.001, 0.95))


def _sampled(pairs: Pairs, records: int) -> tuple[Rows, float]:
    """Return the places of all pairs of some records, so that these have all their rivals.

    And what share of all pairs they are.
    """
    # Copies of one record have been given its place: they say nothing about slips.
    usable = np.flatnonzero(pairs[0] != pairs[1])
    if not len(usable):
        return np.arange(len(pairs[0])), 1.0
    share = LEARNED_FROM / len(usable)
    if share >= 1:
        return usable, 1.0
    # A pair is in if one of its two records is.
    picked = np.random.default_rng(_SEED).random(records) < 1 - np.sqrt(1 - share)
    return usable[picked[pairs[0][usable]] | picked[pairs[1][usable]]], share


def _both_ways(field: Compared) -> Compared:
    """Return each pair twice."""
    return replace(
        field, level=np.tile(field.level, 2), likeness=np.tile(field.likeness, 2), cell=None
    )
