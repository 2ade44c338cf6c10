"""Which columns of two datasets are about the same thing, and their values as comparable text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import fuzz
from scipy.optimize import linear_sum_assignment

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.matching.linkage.terms import gram_profile

_SAMPLE = 2_000
"""Values that stand for a column where columns are told apart."""

CATEGORIES = 64
"""A column of at most this many different values is a category, whatever else it is: so few can
be learned pair by pair."""

_ALIKE = 0.45
"""Two columns are about the same where name and values together score this. Equal names score
0.5, equal values 1.0: names alone suffice if the values are not wholly unlike, and values that
share most of their letter groups suffice alone."""


_MORE: Final = 1.5
"""Times the text of its counterpart from which a column is taken to hold other columns' too."""


class Kind(Enum):
    """How the values of a pair of fields are compared."""

    TEXT = auto()
    """Names, addresses, sentences: by words and letters."""

    CODE = auto()
    """Identifiers, phones, mail addresses: by their characters, punctuation left out."""

    NUMBER = auto()
    """By their difference."""

    DATE = auto()
    """By days and by digits that were swapped or mistyped."""

    CONTAINED = auto()
    """A column without a counterpart: by how much of it stands anywhere in the other record."""

    RECORD = auto()
    """Both records as a whole, by the rarity of their words and letter groups."""

    MARKS = auto()
    """Model numbers and the like, out of all texts of a record: by those that both have."""


WHOLE: Final = Column("(whole record)", ColumnType.text, Role.free_text)
"""Stands for all columns together, where one column is compared with the other record."""


MARKS: Final = Column("(codes in texts)", ColumnType.text, Role.free_text)
"""Stands for the words of letters and digits in all texts of a record, see `marks`."""


@dataclass(frozen=True, slots=True)
class FieldPair:
    """A column of the left dataset and the column of the right one that it is compared with.

    One of the two is `WHOLE` where the kind is CONTAINED, both where it is RECORD.
    """

    left: Column
    right: Column
    kind: Kind
    few: bool
    """True if both sides have few different values: which go together is learned."""


_KINDS = {
    Role.identifier: Kind.CODE,
    Role.reference: Kind.CODE,
    Role.phone: Kind.CODE,
    Role.email: Kind.CODE,
    Role.amount: Kind.NUMBER,
    Role.number: Kind.NUMBER,
    Role.date: Kind.DATE,
}


def kind_of(column: Column) -> Kind:
    """Return how the values of a column are compared: by its role, unless its type forbids."""
    if column.type is ColumnType.date:
        return Kind.DATE
    kind = _KINDS.get(column.role, Kind.TEXT)
    if kind is Kind.DATE:
        return Kind.CODE
    numeric = column.type in (ColumnType.integer, ColumnType.number, ColumnType.decimal)
    if kind is Kind.NUMBER:
        return kind if numeric else Kind.TEXT
    return kind


def kind_of_both(a: Column, b: Column) -> Kind:
    """Return how the values of two columns are compared: as text where the two differ in kind."""
    kinds = {kind_of(a), kind_of(b)}
    return kinds.pop() if len(kinds) == 1 else Kind.TEXT


def comparable_text(dataset: Dataset, column: Column) -> pa.Array:
    """Return a column as strings to compare: no case, accents or punctuation; "" where empty.

    Codes lose their spaces too, so that `310/246-1501` and `310-246-1501` are the same.
    """
    values: Any = dataset.values(column.name)
    if column.type is ColumnType.date:
        values = pc.strftime(values, format="%Y%m%d")
    elif column.type is not ColumnType.text:
        values = pc.cast(values, pa.string())
    values = pc.fill_null(values, "")
    if column.type is ColumnType.text:
        values = pc.utf8_lower(pc.utf8_normalize(values, form="NFKD"))
        values = pc.replace_substring_regex(values, r"[\p{M}'’]+", "")
        gap = "" if kind_of(column) is Kind.CODE else " "
        values = pc.replace_substring_regex(values, r"[^\p{L}\p{N}]+", gap)
        values = pc.utf8_trim_whitespace(values)
    combined = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(combined, pa.ChunkedArray):
        combined = pa.concat_arrays(combined.chunks) if combined.num_chunks else pa.array([], "str")
    return combined


def pair_fields(
    left: Dataset,
    right: Dataset,
    left_texts: dict[str, pa.Array],
    right_texts: dict[str, pa.Array],
) -> list[FieldPair]:
    """Return the pairs of columns that are about the same thing, each column in one at most.

    Scored by how alike their names are and how alike the letter groups of their values; the
    assignment of the highest sum is taken, and of it what is alike enough.
    """
    score = np.zeros((len(left.columns), len(right.columns)))
    left_profiles = [gram_profile(_sample(left_texts[c.name])) for c in left.columns]
    right_profiles = [gram_profile(_sample(right_texts[c.name])) for c in right.columns]
    for i, a in enumerate(left.columns):
        for j, b in enumerate(right.columns):
            if a.filled and b.filled:
                named = fuzz.ratio(plain_name(a.name), plain_name(b.name)) / 100
                score[i, j] = 0.5 * named**2 + _cosine(left_profiles[i], right_profiles[j])
    found = _assigned(left, right, score)
    return found + _without_counterpart(left, right, found)


def _assigned(left: Dataset, right: Dataset, score: npt.NDArray[np.float64]) -> list[FieldPair]:
    rows, columns = linear_sum_assignment(score, maximize=True)
    found = []
    for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
        if score[i, j] < _ALIKE:
            continue
        a, b = left.columns[i], right.columns[j]
        kind = kind_of_both(a, b)
        few = max(a.distinct, b.distinct) <= CATEGORIES
        if not few and _worded(a) and _worded(b) and _uneven(a, b):
            continue
        found.append(FieldPair(a, b, kind, few))
    return found


def _without_counterpart(left: Dataset, right: Dataset, found: list[FieldPair]) -> list[FieldPair]:
    """Return the columns left over, to be looked for anywhere in the other record.

    One side's name is the other's first and last name; one side has a title, the other a
    description that begins with it.
    """
    mine = {f.left.name for f in found}
    theirs = {f.right.name for f in found}
    rest = [FieldPair(c, WHOLE, Kind.CONTAINED, False) for c in _left_over(left, mine)]
    return rest + [FieldPair(WHOLE, c, Kind.CONTAINED, False) for c in _left_over(right, theirs)]


def _left_over(dataset: Dataset, taken: set[str]) -> list[Column]:
    return [
        c
        for c in dataset.columns
        if c.name not in taken and c.filled and c.role is not Role.identifier
    ]


def _worded(column: Column) -> bool:
    return kind_of(column) is Kind.TEXT


def _uneven(a: Column, b: Column) -> bool:
    """Return whether one column holds so much more text that it must hold more than the other."""
    return max(a.mean_length, b.mean_length) > _MORE * min(a.mean_length, b.mean_length)


def plain_name(name: str) -> str:
    """Return the letters and digits of a column's name, small: what headers are compared by."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _sample(texts: pa.Array) -> pa.Array:
    filled = texts.filter(pc.not_equal(texts, ""))
    if len(filled) <= _SAMPLE:
        return filled
    step = np.linspace(0, len(filled) - 1, _SAMPLE).astype(np.int64)
    return filled.take(pa.array(step))


def _cosine(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0
