"""Model numbers, capacities and versions that stand within texts, as a field of their own.

`Sony DSC-W120 7.2MP black` and `DSCW120/B digital camera` have little in common but the one word
that settles it, and two neighbours of a series differ in nothing else. Among all words of a text
such a mark weighs little; compared on their own, equal marks speak for a pair and different ones
against it, and how much is learned. A mark is a word with a digit and a letter in it, or with four
digits; punctuation within a word is looked at both ways, as a gap and as nothing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.matching.linkage.candidates import joined
from muniment.reconcile.matching.linkage.fields import MARKS, FieldPair, Kind

_MARK: Final = r"^(?:\p{L}+\p{N}|\p{N}+\p{L}|\p{N}{4})[\p{L}\p{N}]*$"
"""A word of letters and digits, or of at least four digits; of fewer it is a count."""

_SHORTEST: Final = 3
"""Letters of a mark: shorter ones (`2x`, `b5`) are parts of others."""

_HELD: Final = 0.5
"""Share of the records of each side that must have marks, before they are compared."""

_DIFFERENT: Final = 0.5
"""Share of the records with marks whose marks no other record has: years and sizes alone do not
tell records apart."""

_ROLES: Final = (Role.name, Role.free_text)
"""Codes in columns of their own are compared as they are; in addresses digits are house numbers."""


def with_marks(
    fields: list[FieldPair], left: Dataset, right: Dataset
) -> tuple[list[FieldPair], dict[str, pa.Array], dict[str, pa.Array]]:
    """Return the fields with the marks among them, where records of both sides have marks.

    Args:
        fields: what is compared otherwise.
        left: one dataset.
        right: the other.

    Returns:
        The fields, and by `MARKS.name` the marks of the left and of the right records; no
        texts where marks are not compared.
    """
    mine, theirs = marks_of(left), marks_of(right)
    if mine is None or theirs is None or not (_telling(mine) and _telling(theirs)):
        return fields, {}, {}
    pair = FieldPair(MARKS, MARKS, Kind.MARKS, few=False)
    return [*fields, pair], {MARKS.name: mine}, {MARKS.name: theirs}


def marks_of(dataset: Dataset) -> pa.Array | None:
    """Return the marks in each record's texts, each once, with a space between; None if no texts.

    "" where a record has none.
    """
    columns = [c for c in dataset.columns if _worded(c)]
    if not columns:
        return None
    texts: list[pa.Array] = []
    for column in columns:
        values = pc.utf8_lower(
            pc.utf8_normalize(pc.fill_null(dataset.values(column.name), ""), form="NFKD")
        )
        values = pc.replace_substring_regex(values, r"[\p{M}'’]+", "")
        values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        texts += [_spaced(values), _spaced(pc.replace_substring_regex(values, r"[-.]+", ""))]
    return _only_marks(joined(texts))


def _worded(column: Column) -> bool:
    return column.type is ColumnType.text and column.role in _ROLES and column.filled > 0


def _spaced(values: Any) -> Any:
    return pc.replace_substring_regex(values, r"[^\p{L}\p{N}]+", " ")


def _only_marks(texts: pa.Array) -> pa.Array:
    split = pc.utf8_split_whitespace(texts)
    words = pc.list_flatten(split)
    rows = np.asarray(pc.list_parent_indices(split), np.int64)
    marks = pc.and_(
        pc.match_substring_regex(words, _MARK), pc.greater_equal(pc.utf8_length(words), _SHORTEST)
    )
    held = np.flatnonzero(np.asarray(marks))
    codes = np.asarray(pc.dictionary_encode(words).indices, np.int64)[held]
    _, first = np.unique(rows[held] * len(words) + codes, return_index=True)
    held = held[np.sort(first)]
    ends = np.cumsum(np.bincount(rows[held], minlength=len(texts)))
    lists = pa.ListArray.from_arrays(
        pa.array(np.concatenate(([0], ends)), pa.int32()), words.take(pa.array(held))
    )
    return pc.binary_join(lists, " ")


def _telling(marks: pa.Array) -> bool:
    """Return whether enough records have marks, and marks enough that others have not."""
    there = marks.filter(pc.not_equal(marks, ""))
    enough = len(there) >= max(_HELD * len(marks), 1)
    return enough and pc.count_distinct(there).as_py() >= _DIFFERENT * len(there)
