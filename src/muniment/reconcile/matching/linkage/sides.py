"""Both datasets as linkage reads them: what is compared with what, texts, and vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.loading.errors import NoSharedColumns, NoSuchColumn
from muniment.reconcile.matching.linkage.candidates import joined, record_vectors
from muniment.reconcile.matching.linkage.fields import (
    CATEGORIES,
    WHOLE,
    FieldPair,
    Kind,
    comparable_text,
    kind_of_both,
    pair_fields,
)
from muniment.reconcile.matching.linkage.keys import trusted_fields
from muniment.reconcile.matching.linkage.marks import with_marks
from muniment.reconcile.matching.linkage.terms import Matrix
from muniment.reconcile.rules import ComparedColumns, Rules

Texts = dict[str, pa.Array]


@dataclass(frozen=True)
class Side:
    """One dataset as linkage reads it."""

    texts: Texts
    """Comparable text of every column, and of the whole record."""
    vectors: Matrix
    """Each record's words and letter groups, weighted."""


def prepare(
    left: Dataset, right: Dataset, rules: Rules = Rules()
) -> tuple[list[FieldPair], Side, Side]:
    """Return what is compared with what, and both datasets ready for it.

    Args:
        left: one dataset.
        right: the other.
        rules: `compare` names what is compared, and nothing else is; None: what the data show.

    Raises:
        NoSharedColumns: the two datasets have no columns that could be compared.
        NoSuchColumn: the rules name a column that is not there.
    """
    if rules.compare:
        return _as_told(left, right, rules.compare)
    left_texts = {c.name: comparable_text(left, c) for c in left.columns}
    right_texts = {c.name: comparable_text(right, c) for c in right.columns}
    paired = pair_fields(left, right, left_texts, right_texts)
    ours = _worded(left, left_texts, [f.left.name for f in paired])
    theirs = _worded(right, right_texts, [f.right.name for f in paired])
    a, b = record_vectors(ours, theirs)
    fields = trusted_fields(paired, left_texts, right_texts, a, b)
    fields, left_marks, right_marks = with_marks(fields, left, right)
    if len(fields) == 1 and not fields[0].few:
        # Likeness in one respect has nothing to agree with, from which it could be learned what
        # it says. Two measures of it, by value and by record, hold each other.
        fields.append(FieldPair(WHOLE, WHOLE, Kind.RECORD, few=False))
    if not fields:
        raise NoSharedColumns(
            f"{left.name} and {right.name} have no column that is about the same thing"
        )
    return (
        fields,
        Side(left_texts | left_marks | {WHOLE.name: joined(ours)}, a),
        Side(right_texts | right_marks | {WHOLE.name: joined(theirs)}, b),
    )


def column_of(dataset: Dataset, name: str) -> Column:
    """Return the column that somebody named.

    Raises:
        NoSuchColumn: there is none.
    """
    for column in dataset.columns:
        if column.name == name:
            return column
    raise NoSuchColumn(f"“{dataset.name}” has no column “{name}”", column=name)


def _as_told(
    left: Dataset, right: Dataset, compare: list[ComparedColumns]
) -> tuple[list[FieldPair], Side, Side]:
    fields = []
    for told in compare:
        a = _with_role(column_of(left, told.left), told.role)
        b = _with_role(column_of(right, told.right), told.role)
        few = max(a.distinct, b.distinct) <= CATEGORIES
        fields.append(FieldPair(a, b, kind_of_both(a, b), few))
    left_texts = {f.left.name: comparable_text(left, f.left) for f in fields}
    right_texts = {f.right.name: comparable_text(right, f.right) for f in fields}
    ours, theirs = list(left_texts.values()), list(right_texts.values())
    a, b = record_vectors(ours, theirs)
    return (
        fields,
        Side(left_texts | {WHOLE.name: joined(ours)}, a),
        Side(right_texts | {WHOLE.name: joined(theirs)}, b),
    )


def _with_role(column: Column, role: Role | None) -> Column:
    return column if role is None else replace(column, role=role)


def _worded(dataset: Dataset, texts: Texts, of_both: list[str]) -> list[pa.Array]:
    """Return the columns that describe a record: text, and numbers that the other side has."""
    chosen = [
        texts[c.name]
        for c in dataset.columns
        if c.name in of_both or (c.type is ColumnType.text and c.role is not Role.identifier)
    ]
    return chosen or list(texts.values())
