"""How alike the fields of candidate pairs are, as ordered levels.

A level is a small whole number: higher is more alike, -1 means that a value is missing on one
side, which says nothing. The top levels are equality, split by how common the value is: sharing
a rare value says more than sharing a common one (the term-frequency adjustment of Splink, with
the size of the adjustment learned instead of given).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein, Indel, JaroWinkler

from muniment.reconcile.matching.linkage.candidates import record_vectors
from muniment.reconcile.matching.linkage.fields import WHOLE, FieldPair, Kind
from muniment.reconcile.matching.linkage.terms import (
    gram_counts,
    rarity_of,
    row_products,
    shares,
    weigh,
    word_counts,
)

Floats = npt.NDArray[np.float64]

_EDGES: Final = np.array([0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.88, 0.95])
"""Likeness at which the next level begins: finer towards the top, where a step of likeness
changes most what it says. The model merges levels that say the same."""

_FINE: Final = np.linspace(0.05, 0.95, 19)
"""The same where nothing but one likeness tells matches from others."""

_RARE: Final = np.array([1e-1, 1e-2, 1e-3])
"""Share of records below which an equal value is one level higher."""

_EQUAL: Final = len(_EDGES) + 1
"""Level of equal values that are common."""

_LEVELS: Final = _EQUAL + len(_RARE) + 1

_FEW_WORDS: Final = 3
"""Values of up to this many words (in the mean) are names: compared letter by letter from the
front (Jaro-Winkler), longer ones by their common subsequence. In a short value one mistyped
letter spoils most letter groups."""


@dataclass(frozen=True)
class Compared:
    """One pair of fields over all candidate pairs."""

    fields: FieldPair
    level: npt.NDArray[np.int16]
    """-1 if missing, else up to `levels` - 1."""
    levels: int
    likeness: npt.NDArray[np.float32]
    """0 to 1; 0 where missing."""
    cell: npt.NDArray[np.int64] | None
    """Code of the two values where few are possible: which go together is learned."""

    @property
    def agreement(self) -> int:
        """Return the level from which two values say the same: equal, or nearly all of one."""
        return min(_EQUAL, self.levels - 1)

    def at(self, places: Any) -> Compared:
        """Return only the pairs at these places."""
        cell = None if self.cell is None else self.cell[places]
        return replace(self, level=self.level[places], likeness=self.likeness[places], cell=cell)


def compare_field(
    fields: FieldPair, left: dict[str, pa.Array], right: dict[str, pa.Array], i: Any, j: Any
) -> Compared:
    """Return the levels of one pair of fields over the candidate pairs (i, j).

    Args:
        fields: the two columns.
        left: texts of the left dataset by column, `WHOLE` among them.
        right: texts of the right one.
        i: left row of each pair.
        j: right row of each pair.
    """
    a, b = left[fields.left.name], right[fields.right.name]
    if fields.kind is Kind.RECORD:
        return compare_records(fields, a, b, i, j)
    if fields.kind is Kind.MARKS:
        return compare_marks(fields, a, b, i, j)
    if fields.kind is not Kind.CONTAINED:
        return compare(fields, a, b, i, j)
    if fields.right is WHOLE:
        return compare_contained(fields, a, b, i, j)
    return compare_contained(fields, b, a, j, i)


def compare(
    fields: FieldPair, left: pa.Array, right: pa.Array, i: npt.NDArray[np.int64], j: Any
) -> Compared:
    """Return the levels of one pair of fields over the candidate pairs (i, j)."""
    left_codes, right_codes, share = _dictionary(left, right)
    missing = (left_codes[i] < 0) | (right_codes[j] < 0)
    equal = (left_codes[i] == right_codes[j]) & ~missing
    likeness = np.ones(len(i))
    differ = np.flatnonzero(~equal & ~missing)
    if len(differ):
        likeness[differ] = _likeness(fields, left, right, i[differ], j[differ])
    likeness[missing] = 0
    level = np.searchsorted(_EDGES, likeness, side="right")
    level[equal] = _EQUAL + _rarity(share)[left_codes[i[equal]]]
    level[missing] = -1
    cell = None
    if fields.few:
        cell = np.where(missing, -1, left_codes[i] * len(share) + right_codes[j])
    return Compared(
        fields,
        level.astype(np.int16),
        _LEVELS,
        likeness.astype(np.float32),
        cell,
    )


def equal_by_level(
    fields: FieldPair, left: dict[str, pa.Array], right: dict[str, pa.Array], *, same: bool
) -> Floats | None:
    """Return of all pairs of filled values the share that are equal, by the level they have.

    NaN for the levels of different values; None where the kind of the field knows no equality.

    Args:
        fields: the two columns.
        left: texts of the left dataset by column.
        right: texts of the right one.
        same: whether both are one dataset, whose records are not compared with themselves.
    """
    if fields.kind not in (Kind.TEXT, Kind.CODE, Kind.NUMBER, Kind.DATE):
        return None
    mine, theirs, share = _dictionary(left[fields.left.name], right[fields.right.name])
    first = np.bincount(mine[mine >= 0], minlength=len(share)).astype(np.float64)
    second = np.bincount(theirs[theirs >= 0], minlength=len(share)).astype(np.float64)
    equal = first * (first - 1) if same else first * second
    pairs = first.sum() * (first.sum() - 1) if same else first.sum() * second.sum()
    found = np.full(_LEVELS, np.nan)
    found[_EQUAL:] = np.bincount(_rarity(share), equal, len(_RARE) + 1) / max(pairs, 1.0)
    return found


def compare_records(
    fields: FieldPair, left: pa.Array, right: pa.Array, i: npt.NDArray[np.int64], j: Any
) -> Compared:
    """Return the levels of whole records, by the cosine of their vectors."""
    likeness = row_products(*record_vectors([left], [right]), i, j)
    level = np.searchsorted(_FINE, likeness, side="right")
    return Compared(
        fields, level.astype(np.int16), len(_FINE) + 1, likeness.astype(np.float32), None
    )


def compare_marks(
    fields: FieldPair, left: pa.Array, right: pa.Array, i: npt.NDArray[np.int64], j: Any
) -> Compared:
    """Return the levels of the marks that both records have, by rarity.

    Level 0 is no mark in common. Letters are not looked at: neighbours of a series differ in one.
    """
    likeness = row_products(*weigh(*word_counts(left, right)), i, j)
    level = np.searchsorted(_EDGES, likeness, side="right") + (likeness > 0)
    level[np.asarray(pc.equal(left, ""))[i] | np.asarray(pc.equal(right, ""))[j]] = -1
    return Compared(
        fields, level.astype(np.int16), len(_EDGES) + 2, likeness.astype(np.float32), None
    )


def contained(values: pa.Array, whole: pa.Array, at: Any, other: Any) -> Floats:
    """Return how much of a value stands anywhere in another record, by rarity of letter groups.

    Args:
        values: one column.
        whole: the other dataset's records as one text each.
        at: row of `values` of each pair.
        other: row of `whole` of each pair.
    """
    counts, held = gram_counts(values, whole)
    return row_products(shares(counts, rarity_of(held)), (held > 0).astype(np.float32), at, other)


def compare_contained(
    fields: FieldPair, values: pa.Array, whole: pa.Array, at: Any, other: Any
) -> Compared:
    """Return the levels of a column that is looked for anywhere in the other record."""
    likeness = contained(values, whole, at, other)
    level = np.searchsorted(_EDGES, likeness, side="right")
    level[np.asarray(pc.equal(values, ""))[at]] = -1
    return Compared(
        fields, level.astype(np.int16), len(_EDGES) + 1, likeness.astype(np.float32), None
    )


def _dictionary(left: pa.Array, right: pa.Array) -> tuple[Any, Any, Floats]:
    """Return both columns as codes (-1: empty), and the share of records with each value."""
    both = pc.dictionary_encode(pa.concat_arrays([left, right]))
    codes = np.asarray(both.indices, np.int64)
    share = np.bincount(codes, minlength=len(both.dictionary)) / max(len(codes), 1)
    empty = pc.index(both.dictionary, "").as_py()
    codes = np.where(codes == empty, -1, codes) if empty >= 0 else codes
    return codes[: len(left)], codes[len(left) :], share


def _rarity(share: Floats) -> npt.NDArray[np.int64]:
    """Return how many levels higher a value stands for being rare."""
    return np.searchsorted(-_RARE, -share, side="right")


def _likeness(fields: FieldPair, left: pa.Array, right: pa.Array, i: Any, j: Any) -> Floats:
    if fields.kind is Kind.NUMBER:
        return _near_numbers(left, right, i, j)
    if fields.kind is Kind.DATE:
        return _near_dates(left, right, i, j)
    if fields.kind is Kind.CODE:
        return _letterwise(DamerauLevenshtein.normalized_similarity, left, right, i, j)
    words = pc.mean(pc.list_value_length(pc.utf8_split_whitespace(left))).as_py() or 0
    grams = row_products(*weigh(*gram_counts(left, right)), i, j)
    found = grams
    if words > 1:
        worded = row_products(*weigh(*word_counts(left, right)), i, j)
        found = np.maximum(found, (grams + worded) / 2)
    scorer = JaroWinkler if words <= _FEW_WORDS else Indel
    # Both scorers give unrelated words about one half, where the others give nothing.
    letters = _letterwise(scorer.normalized_similarity, left, right, i, j) * 2 - 1
    return np.asarray(np.clip(np.maximum(found, letters), 0, 0.999), np.float64)


def _letterwise(scorer: Any, left: pa.Array, right: pa.Array, i: Any, j: Any) -> Floats:
    mine = left.take(pa.array(i)).to_pylist()
    theirs = right.take(pa.array(j)).to_pylist()
    return np.asarray(process.cpdist(mine, theirs, scorer=scorer, dtype=np.float32), np.float64)


def _near_numbers(left: pa.Array, right: pa.Array, i: Any, j: Any) -> Floats:
    """Return 1 for equal numbers, less for a larger difference, in spreads of the column.

    A quarter of a spread counts half. Scale-free: the middle half of the left values is one spread.
    """
    a, b = (_numbers(values) for values in (left, right))
    known = a[~np.isnan(a)]
    spread = float(np.subtract(*np.percentile(known, [75, 25]))) if len(known) else 1.0
    near = np.exp2(-np.abs(a[i] - b[j]) / max(spread, 1e-9) * 4)
    return np.asarray(np.clip(near, 0, 0.999), np.float64)


def _numbers(texts: pa.Array) -> Floats:
    filled = pc.if_else(pc.equal(texts, ""), pa.scalar("nan"), texts)
    return np.asarray(pc.cast(filled, pa.float64()), np.float64)


def _near_dates(left: pa.Array, right: pa.Array, i: Any, j: Any) -> Floats:
    """Return the larger of: few days between (half after a month), few digits different."""
    digits = _letterwise(DamerauLevenshtein.normalized_similarity, left, right, i, j)
    mine, theirs = _days(left), _days(right)
    between = np.exp2(-np.abs(mine[i] - theirs[j]) / 30)
    return np.asarray(np.clip(np.maximum(between * 0.94, digits), 0, 0.999), np.float64)


def _days(texts: pa.Array) -> Floats:
    """Return days since 1970, NaN where there is none."""
    filled = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    days = pc.cast(pc.strptime(filled, format="%Y%m%d", unit="s"), pa.date32())
    return np.asarray(pc.cast(pc.cast(days, pa.int32()), pa.float64()), np.float64)
