"""Deduplication: which records of one dataset are the same thing, as pairs and as clusters.

The same candidates, comparisons and model as between two datasets, with each record compared with
the others of its own. Every pair is held in both directions while the model is learned, so that
the candidates of a record compete whichever side they stand on.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from muniment.reconcile.columns import Dataset, Role
from muniment.reconcile.matching.linkage.assignment import estimate_uniqueness
from muniment.reconcile.matching.linkage.candidates import (
    Pairs,
    joined,
    nearest,
    record_vectors,
    sharing,
    union,
)
from muniment.reconcile.matching.linkage.comparisons import compare_field
from muniment.reconcile.matching.linkage.fields import (
    CATEGORIES,
    WHOLE,
    FieldPair,
    Kind,
    comparable_text,
    kind_of,
)
from muniment.reconcile.matching.linkage.link import (
    Linked,
    Progress,
    Side,
    describe,
    first_guess,
)
from muniment.reconcile.matching.linkage.model import Model, Uniqueness, judge, learn
from muniment.reconcile.matching.linkage.terms import row_products
from muniment.reconcile.matching.linkage.threshold import best_threshold
from muniment.reconcile.matching.match import Match, MatchStatus

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_UNCOMPARED: Final = -3.0
"""Log odds (base 2) held against joining two records that were not even candidates of each
other: one to eight."""


class Duplicates(msgspec.Struct, frozen=True):
    """The pairs found in one dataset, and the cluster of every record that has a duplicate."""

    matches: list[Match]
    clusters: dict[int, int]
    """By 1-based row: the smallest row of the cluster, which names it."""


def find_duplicates(dataset: Dataset, progress: Progress | None = None) -> Duplicates:
    """Return which records of a dataset are the same thing.

    A cluster is joined pair by pair, the surest first, while the evidence between all members of
    the two parts together speaks for it: one accidental likeness does not chain two clusters.
    A dataset in which nothing can be compared has no duplicates.
    """
    if dataset.rows < 2:
        return Duplicates([], {})
    tell = progress or (lambda _step, _share: None)
    tell("candidates", 0.0)
    fields, side = _own_fields(dataset)
    if not fields:
        return Duplicates([], {})
    i, j = _own_candidates(fields, side)
    if not len(i):
        return Duplicates([], {})
    tell("comparisons", 0.5)
    compared = [compare_field(f, side.texts, side.texts, i, j) for f in fields]
    tell("model", 0.8)
    start = first_guess(row_products(side.vectors, side.vectors, i, j), i, j)
    model = learn(compared, i, j, start, Uniqueness(left=True, right=True))
    unique = estimate_uniqueness(model, i, j)
    if not (unique.left and unique.right):
        unique = Uniqueness(left=False, right=False)
        model = judge(model, i, j, unique)
    once = i < j
    threshold = best_threshold(model.probability[once], float(model.probability[once].sum()))
    tell("clusters", 0.95)
    linked = Linked(fields, compared, i, j, model, unique, once, threshold)
    cluster = _clusters(model, i, j, once & (model.probability >= threshold), dataset.rows)
    rows = np.asarray(dataset.table["row"])
    names = {int(rows[at]): int(rows[first]) for at, first in cluster.items()}
    matches = [_kept(match, names) for match in describe(dataset, dataset, linked)]
    return Duplicates(matches, names)


def _kept(match: Match, names: dict[int, int]) -> Match:
    """Return the match, for review only if the clusters keep its records apart."""
    together = names.get(match.left_row, -1) == names.get(match.right_row, -2)
    if match.status is MatchStatus.MATCHED and not together:
        return msgspec.structs.replace(match, status=MatchStatus.REVIEW)
    return match


def _own_fields(dataset: Dataset) -> tuple[list[FieldPair], Side]:
    texts = {c.name: comparable_text(dataset, c) for c in dataset.columns}
    # A column that names the records is different for each, whether or not they are the same.
    usable = [c for c in dataset.columns if c.role is not Role.identifier and c.filled]
    fields = [FieldPair(c, c, kind_of(c), c.distinct <= CATEGORIES) for c in usable]
    whole = joined([texts[c.name] for c in usable]) if usable else None
    if whole is None:
        return [], Side(texts, None)
    vectors, _ = record_vectors([whole], [whole])
    return fields, Side(texts | {WHOLE.name: whole}, vectors)


def _own_candidates(fields: list[FieldPair], side: Side) -> Pairs:
    near = nearest(side.vectors, side.vectors)
    found = [near, (near[1], near[0])]
    found += [
        sharing(side.texts[f.left.name], side.texts[f.left.name])
        for f in fields
        if f.kind in (Kind.CODE, Kind.DATE) and not f.few
    ]
    i, j = union(found, side.vectors.shape[0])
    return i[i != j], j[i != j]


def _clusters(
    model: Model, i: Rows, j: Rows, good: npt.NDArray[np.bool_], size: int
) -> dict[int, int]:
    """Return the first record of the cluster of each record that is not alone."""
    score = dict(zip((i * size + j).tolist(), model.score.tolist(), strict=True))
    part = {at: [at] for at in np.unique(np.concatenate((i[good], j[good]))).tolist()}
    order = np.flatnonzero(good)[np.argsort(-model.probability[good], kind="stable")]
    for at in order.tolist():
        one, other = part[int(i[at])], part[int(j[at])]
        if one is other:
            continue
        between = sum(score.get(a * size + b, _UNCOMPARED) for a in one for b in other)
        if between > 0:
            one.extend(other)
            part.update(dict.fromkeys(other, one))
    return {at: min(members) for at, members in part.items() if len(members) > 1}
