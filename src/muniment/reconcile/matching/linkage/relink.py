"""An incremental run of two datasets: new records against all others, see `incremental`."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import numpy.typing as npt

from muniment.reconcile.columns import Dataset
from muniment.reconcile.matching.given import Given
from muniment.reconcile.matching.linkage.candidates import union
from muniment.reconcile.matching.linkage.comparisons import Compared, compare_field
from muniment.reconcile.matching.linkage.decided import decisions
from muniment.reconcile.matching.linkage.describe import Linked
from muniment.reconcile.matching.linkage.fields import FieldPair
from muniment.reconcile.matching.linkage.incremental import Again, new_pairs
from muniment.reconcile.matching.linkage.keys import among, find_keyed
from muniment.reconcile.matching.linkage.learned import weigh_pairs, write_model
from muniment.reconcile.matching.linkage.link import choose
from muniment.reconcile.matching.linkage.model import STRONGEST, Model, compete
from muniment.reconcile.matching.linkage.sides import Side
from muniment.reconcile.matching.match import Progress
from muniment.reconcile.rules import Rules

Floats = npt.NDArray[np.float64]


def relink(
    left: Dataset,
    right: Dataset,
    again: Again,
    prepared: tuple[list[FieldPair], Side, Side],
    *,
    rules: Rules,
    given: Given,
    tell: Progress,
) -> Linked | None:
    """Return which pairs are in the answer and which are for review, now that there is more.

    None where no record has anything in common with one of the other dataset.

    Args:
        left: one dataset as it is now.
        right: the other.
        again: what the last run found, see `begin`.
        prepared: what is compared with what, and both datasets ready for it.
        rules: threshold (None: that of the last run), bounds of the review, stages, keys.
        given: decisions of people.
        tell: told of each step.
    """
    fields, ours, theirs = prepared
    tell("candidates", 0.3)
    keyed = find_keyed(left, right, fields, (ours.texts, theirs.texts), rules)
    decided = decisions(given, left, right)
    near = new_pairs(again, fields, ours, theirs)
    i, j = union([near, decided.accepted, *again.of_new(keyed.pairs)], right.rows)
    if not len(i):
        return None
    tell("comparisons", 0.6)
    compared = [compare_field(field, ours.texts, theirs.texts, i, j) for field in fields]
    learned = again.learned
    told, seen = (among(pairs, i, j, right.rows) for pairs in (keyed.told, keyed.seen))
    known = decided.known(i, j, right.rows)
    known[told & (known == 0)] = STRONGEST
    weights = weigh_pairs(learned, compared, (ours.texts, theirs.texts), (i, j)).astype(np.float64)
    settled = again.score(i, j, right.rows) - np.log2(learned.odds)
    _settle(weights, settled, compared)
    score = weights.sum(axis=1) + np.log2(learned.odds)
    model = Model(weights, [], learned.odds, compete(score, i, j, learned.unique, known))
    if rules.threshold is None:
        rules = msgspec.structs.replace(rules, threshold=learned.threshold)
    linked = choose(
        fields,
        compared,
        (i, j),
        model,
        unique=learned.unique,
        rules=rules,
        known=known,
        told=told,
        seen=seen,
    )
    return replace(linked, saved=write_model(learned))


def _settle(weights: Floats, settled: Floats, compared: list[Compared]) -> None:
    """Make the weights of pairs that the last run judged add up to what it found.

    The difference is shared out among the fields that are known.
    """
    rows = np.flatnonzero(~np.isnan(settled))
    there = np.stack([field.level[rows] >= 0 for field in compared], axis=1)
    there[~there.any(axis=1)] = True
    rest = (settled[rows] - weights[rows].sum(axis=1)) / there.sum(axis=1)
    weights[rows] += there * rest[:, None]
