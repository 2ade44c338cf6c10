"""Which columns of two datasets are about the same thing, though their headers differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.inference.profile import hashes
from muniment.reconcile.inference.words import header_words
from muniment.reconcile.loading.errors import NoSharedColumns

_KEPT: Final = 2000
"""Distinct values of a column that are compared: those with the smallest hashes, the same ones
on both sides, so that the overlap of the samples is that of the columns (a bottom-k sketch)."""

_LEAST: Final = 0.25
"""Score below which two columns are not paired: a shared role alone is worth that much."""

_ALIKE: Final = (
    {Role.name, Role.free_text, Role.category},
    {Role.name, Role.address},
    {Role.identifier, Role.reference, Role.number, Role.phone},
    {Role.reference, Role.free_text},
    {Role.amount, Role.number},
    {Role.address, Role.reference, Role.number, Role.category, Role.free_text},
    {Role.category, Role.currency, Role.reference},
)
"""Roles that the same thing may have been given on the two sides."""

_NUMBERS: Final = frozenset({ColumnType.integer, ColumnType.number, ColumnType.decimal})


@dataclass(frozen=True, slots=True)
class ColumnPair:
    """Two columns that can be compared."""

    left: str
    right: str
    role: Role
    """What both are compared as: the role that tells more, if they differ."""
    score: float
    """0..1: how sure it is that they are about the same thing."""
    overlap: float
    """Share of the distinct values of the smaller side that the other side has too."""
    likeness: float
    """Of what the values are made of, 0..1: words, or ranges of numbers and dates."""
    reason: str


@dataclass(frozen=True, slots=True)
class _Sketch:
    """Of the distinct values of a column, and of their words, a comparable sample."""

    column: Column
    values: frozenset[int]
    words: frozenset[int]
    span: tuple[float, float] | None
    counted: bool
    """Whole numbers given one after the other, as the rows of any table are numbered."""


def pair_columns(left: Dataset, right: Dataset) -> list[ColumnPair]:
    """Pair the columns of two datasets one to one, the surest first.

    Roles and types must allow a pair; then overlap of values, likeness of their words or
    ranges, and the words of the headers decide, in this order of weight. Pairs are chosen
    together (assignment of greatest total score), so that `first name` does not take the place of
    `last name` for being first.

    Raises:
        NoSharedColumns: nothing can be compared.
    """
    sketches = [[_sketch(data, column) for column in data.columns] for data in (left, right)]
    pairs = [[_pair(one, other) for other in sketches[1]] for one in sketches[0]]
    chosen = _assign(pairs)
    if not chosen:
        raise NoSharedColumns(
            f"No column of “{left.name}” ({_listed(left)}) has the type, the role or the values "
            f"of one of “{right.name}” ({_listed(right)}). Give columns roles, or check the files."
        )
    return sorted(chosen, key=lambda pair: (-pair.score, pair.left, pair.right))


def pairs_of(left: Dataset, right: Dataset) -> list[ColumnPair]:
    """Return every pair of columns that may be compared, not only the best ones, surest first.

    A reference may stand in a column of text on the other side, a payer in a description.
    """
    sketches = [[_sketch(data, column) for column in data.columns] for data in (left, right)]
    found = [_pair(one, other) for one in sketches[0] for other in sketches[1]]
    kept = [pair for pair in found if pair is not None and pair.score >= _LEAST]
    return sorted(kept, key=lambda pair: (-pair.score, pair.left, pair.right))


def _listed(data: Dataset) -> str:
    names = [column.name for column in data.columns]
    return ", ".join(names[:12]) + (" …" if len(names) > 12 else "")


def _sketch(data: Dataset, column: Column) -> _Sketch:
    values = pc.drop_null(data.values(column.name))
    span = _span(values, column)
    if column.type is not ColumnType.text:
        values = _as_text(values, column)
    # An identifier keeps its case in its own dataset and may be a reference in the other.
    distinct = pc.unique(pc.utf8_lower(values)).to_pylist()
    sample = _smallest(distinct)
    words: frozenset[int] = frozenset()
    if column.type is ColumnType.text:
        some = distinct[:: max(1, len(distinct) // _KEPT)]
        words = _smallest([word for value in some for word in value.split()])
    return _Sketch(column, sample, words, span, _is_counted(column, distinct))


def _is_counted(column: Column, distinct: list[str]) -> bool:
    if column.role is not Role.identifier or not distinct:
        return False
    numbers = [int(value) for value in distinct if value.isdecimal() and len(value) < 16]
    return len(numbers) == len(distinct) and max(numbers) - min(numbers) < 4 * len(numbers)


def _as_text(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    if column.type is ColumnType.decimal:
        # The same amount with more places on one side is the same.
        values = pc.cast(values, pa.float64())
    elif column.type is ColumnType.integer:
        values = pc.cast(values, pa.float64(), safe=False)
    return pc.cast(values, pa.string())


def _smallest(values: list[str]) -> frozenset[int]:
    """Return the smallest hashes of values, all of them if there are few."""
    return frozenset(np.unique(hashes(pa.array(values, pa.string())))[:_KEPT].tolist())


def _span(values: pa.ChunkedArray, column: Column) -> tuple[float, float] | None:
    """Return where the middle nine tenths of numbers or dates lie."""
    if column.type in _NUMBERS:
        numbers = pc.cast(values, pa.float64(), safe=False)
    elif column.type is ColumnType.date:
        numbers = pc.cast(pc.cast(values, pa.int32()), pa.float64())
    else:
        return None
    if not len(numbers):
        return None
    low, high = pc.quantile(numbers, q=[0.05, 0.95]).to_pylist()
    return float(low), float(high)


def _pair(left: _Sketch, right: _Sketch) -> ColumnPair | None:
    one, other = left.column, right.column
    if not one.filled or not other.filled or not _allowed(one, other):
        return None
    overlap = _shared(left.values, right.values)
    likeness = _likeness(left, right, overlap)
    header = _header_likeness(one.name, other.name)
    same_role = one.role is other.role
    # An identifier means nothing elsewhere: two of them are a pair only if values are shared.
    base = 0.3 if same_role else 0.1
    # Two lists that are numbered from one share numbers by nature.
    if Role.identifier in (one.role, other.role):
        numbered = left.counted and right.counted
        base = 0.0 if overlap < 0.05 or numbered else base
    score = min(1.0, base + 0.35 * math.sqrt(overlap) + 0.2 * likeness + 0.15 * header)
    if not base:
        score = min(score, _LEAST - 0.01)
    role = one.role if one.certainty >= other.certainty else other.role
    why = [f"both {one.role.value}" if same_role else f"{one.role.value} and {other.role.value}"]
    if overlap:
        why.append(f"{overlap:.0%} of the values on both sides")
    if header >= 0.5:
        why.append("headers alike")
    return ColumnPair(one.name, other.name, role, score, overlap, likeness, ", ".join(why))


def _allowed(one: Column, other: Column) -> bool:
    if one.role is other.role:
        return one.type is other.type or {one.type, other.type} <= _NUMBERS
    if (one.type is ColumnType.date) != (other.type is ColumnType.date):
        return False
    if {one.role, other.role} == {Role.identifier, Role.number}:
        return False
    return any(one.role in roles and other.role in roles for roles in _ALIKE)


def _shared(left: frozenset[int], right: frozenset[int]) -> float:
    """Return the share of the smaller set that is in the other, from bottom-k samples."""
    if not left or not right:
        return 0.0
    # Beyond the largest hash of a full sample nothing is known of that side.
    reach = min(
        max(left) if len(left) >= _KEPT else 2**64, max(right) if len(right) >= _KEPT else 2**64
    )
    first = {value for value in left if value <= reach}
    second = {value for value in right if value <= reach}
    smaller = min(len(first), len(second))
    return len(first & second) / smaller if smaller else 0.0


def _likeness(left: _Sketch, right: _Sketch, overlap: float) -> float:
    if left.span and right.span:
        low, high = max(left.span[0], right.span[0]), min(left.span[1], right.span[1])
        whole = max(left.span[1], right.span[1]) - min(left.span[0], right.span[0])
        return max(0.0, (high - low) / whole) if whole else 1.0
    if left.words and right.words:
        return _shared(left.words, right.words)
    return overlap


def _header_likeness(one: str, other: str) -> float:
    first, second = set(header_words(one)), set(header_words(other))
    if not first or not second:
        return 1.0 if one.casefold() == other.casefold() else 0.0
    return len(first & second) / len(first | second)


def _assign(pairs: list[list[ColumnPair | None]]) -> list[ColumnPair]:
    """Choose pairs of the greatest total score, each column once."""
    from scipy.optimize import linear_sum_assignment

    if not pairs or not pairs[0]:
        return []
    gains = np.array([[pair.score if pair else 0.0 for pair in line] for line in pairs])
    gains[gains < _LEAST] = 0.0
    rows, columns = linear_sum_assignment(gains, maximize=True)
    chosen = [pairs[row][column] for row, column in zip(rows, columns, strict=True)]
    return [pair for pair in chosen if pair is not None and pair.score >= _LEAST]
