"""The chosen pairs put into words: matches with their reasons and their rivals.

Made as they are asked for, a block at a time: a million matches with all their values would not
fit into the memory that finding them takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from muniment.reconcile.columns import Column, Dataset
from muniment.reconcile.matching.linkage.comparisons import Compared
from muniment.reconcile.matching.linkage.fields import MARKS, WHOLE, FieldPair
from muniment.reconcile.matching.linkage.marks import marks_of
from muniment.reconcile.matching.linkage.model import Model, Uniqueness
from muniment.reconcile.matching.match import Alternative, FieldEvidence, Match, MatchStatus

Rows = npt.NDArray[np.int64]
Values = Any  # pyarrow.ChunkedArray, or None for the whole record: pyarrow ships no types

PROBABILISTIC: Final = 0
EXACT: Final = 1
DECISION: Final = 2
STAGES: Final = ("probabilistic", "exact", "decision")
"""Names of the stages that find pairs of records, by the numbers above."""

_BLOCK: Final = 5_000
"""Matches described at a time."""

_ALTERNATIVES: Final = 3
"""Other candidates named with a match."""

_UNLIKELY: Final = 0.001
"""Probability below which a candidate is no alternative worth naming."""


@dataclass(frozen=True)
class Linked:
    """All that a run found out, before it is put into words. Arrays are by candidate pair."""

    fields: list[FieldPair]
    compared: list[Compared]
    i: Rows
    """Position of the left record, from 0; sorted, then by `j`."""
    j: Rows
    model: Model
    unique: Uniqueness
    shown: Rows
    """Places of the pairs of the answer and of the review list, the surest first."""
    matched: npt.NDArray[np.bool_]
    """Whether a pair is in the answer."""
    stage: npt.NDArray[np.int8]
    """Which of `STAGES` found it."""
    threshold: float
    saved: bytes | None = None
    """What was learned, for a later run of only the new records."""
    notes: tuple[str, ...] = ()


class Described:
    """The matches of a run, made as they are walked through; any number of times."""

    def __init__(self, left: Dataset, right: Dataset, linked: Linked) -> None:
        """Hold the datasets, whose values are read when they are described."""
        self._left, self._right, self._linked = left, right, linked

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._linked.shown)

    def __iter__(self) -> Iterator[Match]:
        """Yield the surest first."""
        if not len(self):
            return
        linked = self._linked
        numbers = _row_numbers(self._left), _row_numbers(self._right)
        rivals = _Rivals(linked, *numbers)
        values = _values(self._left, linked, "left"), _values(self._right, linked, "right")
        for start in range(0, len(self), _BLOCK):
            shown = linked.shown[start : start + _BLOCK]
            reasons = _evidence(linked, shown, *values)
            others = rivals.of(shown)
            for place, at in enumerate(shown.tolist()):
                yield Match(
                    left_row=int(numbers[0][linked.i[at]]),
                    right_row=int(numbers[1][linked.j[at]]),
                    confidence=float(linked.model.probability[at]),
                    status=MatchStatus.MATCHED if linked.matched[at] else MatchStatus.REVIEW,
                    stage=STAGES[linked.stage[at]],
                    explanation=reasons[place],
                    alternatives=others[place],
                )


class _Rivals:
    """Of each record the likely candidates, to be looked up a block at a time."""

    def __init__(self, linked: Linked, left_rows: Rows, right_rows: Rows) -> None:
        self._linked, self._left_rows, self._right_rows = linked, left_rows, right_rows
        likely = np.flatnonzero(linked.model.probability >= _UNLIKELY)
        i, j = linked.i[likely], linked.j[likely]
        by_left, by_right = np.argsort(i, kind="stable"), np.argsort(j, kind="stable")
        self._by_left, self._by_right = likely[by_left], likely[by_right]
        self._i, self._j = i[by_left], j[by_right]

    def of(self, shown: Rows) -> list[list[Alternative]]:
        """Return the best other candidates of both records of each pair."""
        left = self._spans(self._i, self._linked.i[shown])
        right = self._spans(self._j, self._linked.j[shown])
        return [
            self._best(at, *bounds)
            for at, *bounds in zip(shown.tolist(), *left, *right, strict=True)
        ]

    @staticmethod
    def _spans(rows: Rows, wanted: Rows) -> tuple[list[int], list[int]]:
        return np.searchsorted(rows, wanted).tolist(), np.searchsorted(rows, wanted + 1).tolist()

    def _best(
        self, at: int, left_low: int, left_high: int, right_low: int, right_high: int
    ) -> list[Alternative]:
        if left_high - left_low <= 1 and right_high - right_low <= 1:
            return []
        linked, p = self._linked, self._linked.model.probability
        near = self._by_left[left_low:left_high].tolist()
        near += self._by_right[right_low:right_high].tolist()
        others = sorted({n for n in near if n != at}, key=lambda n: (-p[n], n))[:_ALTERNATIVES]
        return [
            Alternative(
                int(self._left_rows[linked.i[n]]), int(self._right_rows[linked.j[n]]), float(p[n])
            )
            for n in others
        ]


def _row_numbers(dataset: Dataset) -> Rows:
    return np.asarray(dataset.values("row"), np.int64)


def _evidence(
    linked: Linked, shown: Rows, left: list[Values], right: list[Values]
) -> list[list[FieldEvidence]]:
    lists: list[list[FieldEvidence]] = [[] for _ in shown]
    for place, field in enumerate(linked.compared):
        pair = field.fields
        mine = _taken(left[place], linked.i[shown])
        theirs = _taken(right[place], linked.j[shown])
        weights = linked.model.weights[shown, place].tolist()
        alike = field.likeness[shown].tolist()
        for entry, x, y, weight, likeness in zip(lists, mine, theirs, weights, alike, strict=True):
            entry.append(FieldEvidence(pair.left.name, pair.right.name, x, y, likeness, weight))
    return lists


def _values(dataset: Dataset, linked: Linked, side: str) -> list[Values]:
    """Return the column of each pair of fields, None for the whole record."""
    columns: list[Column] = [getattr(f, side) for f in linked.fields]
    return [_values_of(dataset, column) for column in columns]


def _values_of(dataset: Dataset, column: Column) -> Values:
    if column is WHOLE:
        return None
    return marks_of(dataset) if column is MARKS else dataset.values(column.name)


def _taken(values: Values, rows: Rows) -> list[str]:
    if values is None:
        return [WHOLE.name] * len(rows)
    return [
        "" if value is None else str(value) for value in values.take(pa.array(rows)).to_pylist()
    ]
