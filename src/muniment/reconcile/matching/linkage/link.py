"""Record linkage without labels or configuration: people, papers, places, products.

Candidates from the likeness of whole records, levels of likeness field by field, a model learned
from those candidates, an assignment where records have one partner each, and the threshold with
the best expected F1. Each step is a module beside this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from muniment.reconcile.columns import Column, Dataset
from muniment.reconcile.loading.errors import NoSharedColumns
from muniment.reconcile.matching.linkage.assignment import assign, estimate_uniqueness
from muniment.reconcile.matching.linkage.candidates import (
    Pairs,
    joined,
    nearest,
    record_vectors,
    sharing,
    union,
)
from muniment.reconcile.matching.linkage.comparisons import Compared, compare_field
from muniment.reconcile.matching.linkage.fields import (
    WHOLE,
    FieldPair,
    Kind,
    comparable_text,
    pair_fields,
)
from muniment.reconcile.matching.linkage.keys import trusted_fields
from muniment.reconcile.matching.linkage.model import Model, Uniqueness, judge, learn
from muniment.reconcile.matching.linkage.strangers import known_strangers, temper
from muniment.reconcile.matching.linkage.terms import Matrix, row_products
from muniment.reconcile.matching.linkage.threshold import best_threshold
from muniment.reconcile.matching.match import Alternative, FieldEvidence, Match, MatchStatus

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Progress = Callable[[str, float], None]
"""Told the name of the step that begins and the share of the work done, 0 to 1."""

STAGE: Final = "linkage"

_REVIEW: Final = 0.05
"""Probability from which a pair that is no match is shown for review."""

_ALTERNATIVES: Final = 3
"""Other candidates named with a match."""


@dataclass(frozen=True)
class Side:
    """One dataset as linkage reads it."""

    texts: dict[str, pa.Array]
    """Comparable text of every column, and of the whole record."""
    vectors: Matrix
    """Each record's words and letter groups, weighted."""


@dataclass(frozen=True)
class Linked:
    """All that a run found out, before it is put into words."""

    fields: list[FieldPair]
    compared: list[Compared]
    i: Rows
    j: Rows
    model: Model
    unique: Uniqueness
    chosen: npt.NDArray[np.bool_]
    threshold: float


def link(left: Dataset, right: Dataset, progress: Progress | None = None) -> list[Match]:
    """Return the pairs of records that belong together, the surest first.

    Raises:
        NoSharedColumns: the two datasets have no columns that could be compared.
    """
    if not (left.rows and right.rows):
        return []
    tell = progress or _silent
    linked = examine(left, right, tell)
    if linked is None:
        return []
    tell("explain", 0.95)
    return describe(left, right, linked)


def examine(left: Dataset, right: Dataset, tell: Progress) -> Linked | None:
    """Find the candidates, learn the model and choose the pairs; see `Linked`.

    None where no record has anything in common with one of the other dataset.

    Raises:
        NoSharedColumns: the two datasets have no columns that could be compared.
    """
    tell("columns", 0.0)
    fields, ours, theirs = _sides(left, right)
    tell("candidates", 0.1)
    i, j = _candidates(fields, ours, theirs)
    if not len(i):
        return None
    tell("comparisons", 0.5)
    compared = [compare_field(f, ours.texts, theirs.texts, i, j) for f in fields]
    tell("model", 0.8)
    start = first_guess(row_products(ours.vectors, theirs.vectors, i, j), i, j)
    model = learn(compared, i, j, start, Uniqueness(left=True, right=True))
    unique = estimate_uniqueness(model, i, j)
    if unique.left != unique.right:
        model = learn(compared, i, j, model.probability, unique)
    elif not unique.left:
        model = judge(model, i, j, unique)
    strangers = _strangers(model, fields, unique, ours, theirs)
    if len(strangers):
        model = judge(temper(model, strangers), i, j, unique)
    chosen = assign(model, i, j, unique)
    threshold = best_threshold(model.probability[chosen], float(model.probability.sum()))
    return Linked(fields, compared, i, j, model, unique, chosen, threshold)


def _sides(left: Dataset, right: Dataset) -> tuple[list[FieldPair], Side, Side]:
    """Return what is compared with what, and both datasets ready for it."""
    left_texts = {c.name: comparable_text(left, c) for c in left.columns}
    right_texts = {c.name: comparable_text(right, c) for c in right.columns}
    paired = pair_fields(left, right, left_texts, right_texts)
    ours = _worded(left, left_texts, [f.left.name for f in paired])
    theirs = _worded(right, right_texts, [f.right.name for f in paired])
    a, b = record_vectors(ours, theirs)
    fields = trusted_fields(paired, left_texts, right_texts, a, b)
    if not fields:
        raise NoSharedColumns(
            f"{left.name} and {right.name} have no column that is about the same thing"
        )
    return (
        fields,
        Side(left_texts | {WHOLE.name: joined(ours)}, a),
        Side(right_texts | {WHOLE.name: joined(theirs)}, b),
    )


def _strangers(
    model: Model, fields: list[FieldPair], unique: Uniqueness, ours: Side, theirs: Side
) -> Floats:
    """Return the weights of pairs known to be different: within datasets without duplicates.

    That a left record has one partner at most is to say that the right dataset has no duplicates.
    """
    found = [np.zeros((0, len(fields)))]
    if unique.right:
        columns = [f.left for f in fields]
        found.append(known_strangers(model, fields, columns, ours.texts, ours.vectors))
    if unique.left:
        columns = [f.right for f in fields]
        found.append(known_strangers(model, fields, columns, theirs.texts, theirs.vectors))
    return np.concatenate(found)


def first_guess(likeness: Floats, i: Rows, j: Rows) -> Floats:
    """Return where the model starts: each other's most alike, by their lead over the others.

    A lead says more than likeness: the two most alike of an unmatched record and its nearest
    stranger are hardly more alike than the stranger after that.
    """
    first_left, second_left = _two_best(likeness, i)
    first_right, second_right = _two_best(likeness, j)
    mutual = (likeness >= first_left[i]) & (likeness >= first_right[j])
    rival = np.maximum(second_left[i], second_right[j])
    lead = (likeness - rival) / np.maximum(1 - rival, 0.05)
    return np.where(mutual, np.clip(lead, 0.01, 0.95), 0.001)


def _two_best(likeness: Floats, rows: Rows) -> tuple[Floats, Floats]:
    """Return the largest and the second largest likeness of each row (0 where there is none)."""
    order = np.lexsort((-likeness, rows))
    sorted_rows, sorted_likeness = rows[order], likeness[order]
    starts = np.flatnonzero(np.r_[True, sorted_rows[1:] != sorted_rows[:-1]])
    first = np.zeros(int(rows.max(initial=-1)) + 1)
    second = np.zeros(len(first))
    first[sorted_rows[starts]] = sorted_likeness[starts]
    several = starts[np.r_[np.diff(starts), len(order) - starts[-1:]] > 1]
    second[sorted_rows[several]] = sorted_likeness[several + 1]
    return first, second


def describe(left: Dataset, right: Dataset, linked: Linked) -> list[Match]:
    """Return the chosen pairs as matches with their reasons; rows as in the datasets."""
    p = linked.model.probability
    shown = np.flatnonzero(linked.chosen & (p >= min(_REVIEW, linked.threshold)))
    shown = shown[np.argsort(-p[shown], kind="stable")]
    left_rows = np.asarray(left.table["row"])
    right_rows = np.asarray(right.table["row"])
    reasons = _evidence(left, right, linked, shown)
    others = _alternatives(linked, shown, left_rows, right_rows)
    return [
        Match(
            left_row=int(left_rows[linked.i[at]]),
            right_row=int(right_rows[linked.j[at]]),
            confidence=float(p[at]),
            status=MatchStatus.MATCHED if p[at] >= linked.threshold else MatchStatus.REVIEW,
            stage=STAGE,
            explanation=reasons[place],
            alternatives=others[place],
        )
        for place, at in enumerate(shown.tolist())
    ]


def _candidates(fields: list[FieldPair], ours: Side, theirs: Side) -> Pairs:
    forth, back = nearest(ours.vectors, theirs.vectors), nearest(theirs.vectors, ours.vectors)
    found = [forth, (back[1], back[0])]
    found += [
        sharing(ours.texts[f.left.name], theirs.texts[f.right.name])
        for f in fields
        if f.kind in (Kind.CODE, Kind.DATE) and not f.few
    ]
    return union(found, theirs.vectors.shape[0])


def _worded(dataset: Dataset, texts: dict[str, pa.Array], of_both: list[str]) -> list[pa.Array]:
    """Return the columns that describe a record: text, and numbers that the other side has."""
    chosen = [
        texts[c.name]
        for c in dataset.columns
        if c.name in of_both or (c.type == "text" and c.role != "identifier")
    ]
    return chosen or list(texts.values())


def _evidence(
    left: Dataset, right: Dataset, linked: Linked, shown: Rows
) -> list[list[FieldEvidence]]:
    lists: list[list[FieldEvidence]] = [[] for _ in shown]
    for place, field in enumerate(linked.compared):
        pair = field.fields
        mine = _values(left, pair.left, linked.i[shown])
        theirs = _values(right, pair.right, linked.j[shown])
        weights = linked.model.weights[shown, place].tolist()
        alike = field.likeness[shown].tolist()
        for entry, x, y, weight, likeness in zip(lists, mine, theirs, weights, alike, strict=True):
            entry.append(
                FieldEvidence(pair.left.name, pair.right.name, _text(x), _text(y), likeness, weight)
            )
    return lists


def _alternatives(
    linked: Linked, shown: Rows, left_rows: Rows, right_rows: Rows
) -> list[list[Alternative]]:
    """Return for each shown pair the best other candidates of its left, then its right record."""
    p = linked.model.probability
    by_left: dict[int, list[int]] = {}
    by_right: dict[int, list[int]] = {}
    for at in np.flatnonzero(p >= 0.001)[np.argsort(-p[p >= 0.001], kind="stable")].tolist():
        by_left.setdefault(int(linked.i[at]), []).append(at)
        by_right.setdefault(int(linked.j[at]), []).append(at)
    found = []
    for at in shown.tolist():
        near = by_left.get(int(linked.i[at]), []) + by_right.get(int(linked.j[at]), [])
        others = sorted({n for n in near if n != at}, key=lambda n: -p[n])[:_ALTERNATIVES]
        found.append(
            [
                Alternative(int(left_rows[linked.i[n]]), int(right_rows[linked.j[n]]), float(p[n]))
                for n in others
            ]
        )
    return found


def _values(dataset: Dataset, column: Column, rows: Rows) -> list[object]:
    if column is WHOLE:
        return [WHOLE.name] * len(rows)
    return list(dataset.values(column.name).take(pa.array(rows)).to_pylist())


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _silent(step: str, share: float) -> None:
    """Tell nobody."""
