"""What a run would compare and what that would cost, before it is started."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from muniment.reconcile.columns import Column, Dataset
from muniment.reconcile.matching.linkage.candidates import NEIGHBOURS, SAME_KEY
from muniment.reconcile.matching.linkage.fields import FieldPair, Kind, comparable_text
from muniment.reconcile.matching.linkage.own_pairs import own_fields
from muniment.reconcile.matching.linkage.sides import prepare
from muniment.reconcile.rules import Rules

_SAMPLE: Final = 5_000
"""Records of each dataset that are looked at to find what is compared with what."""

_MUTUAL: Final = 0.7
"""Share of the nearest of all records that are different pairs: two records are often among each
other's nearest. 0.6 to 0.8 on people, papers and places."""

# Measured on two cores of a server of 2023, nothing beside it: 100,000 people of 80 characters and
# eight columns, 660,000 pairs. A run beside others takes longer.
_START_SECONDS: Final = 1.0
_SECONDS_OF_CHARACTER: Final = 1.4e-6
_SECONDS_OF_LIKENESS: Final = 6e-7
"""For one field of one pair."""
_SECONDS_OF_LEARNING: Final = 2.5e-5
_LEARNED_FROM: Final = 200_000
"""Pairs whose judging takes time beyond their comparison."""
_START_BYTES: Final = 300_000_000
_BYTES_OF_CHARACTER: Final = 28
_BYTES_OF_PAIR: Final = 60
_BYTES_OF_LIKENESS: Final = 14


class BlockingRule(Struct, frozen=True):
    """One way in which pairs of records come to be compared."""

    kind: str
    """`nearest`: the most alike of each record by words and letter groups of all columns named.
    `shared_value`: records with the same value, where few have it."""
    left: list[str]
    right: list[str]
    pairs: int
    """That it would compare; pairs of several rules are compared once."""


class Plan(Struct, frozen=True):
    """What a run would compare, and what that would cost."""

    rules: list[BlockingRule]
    left_records: int
    right_records: int | None
    """None where duplicates of one dataset are sought."""
    pairs: int
    """Compared at most, by all rules together."""
    possible_pairs: int
    """Without any rule."""
    compared: list[tuple[str, str, str]]
    """Left column, right column, and how they are compared: text, code, number, date or
    contained (anywhere in the other record)."""
    seconds: float
    """On two cores with nothing beside it; see the constants of this module."""
    memory_mb: int


def estimate(left: Dataset, right: Dataset | None = None, rules: Rules = Rules()) -> Plan:
    """Return what `find_matches` would compare, from samples and from counts of values.

    Args:
        left: one dataset.
        right: the other; None: duplicates of the first are sought.
        rules: columns to compare.

    Raises:
        NoSharedColumns: there is no column to compare.
        NoSuchColumn: the rules name a column that is not there.
    """
    if right is None:
        fields, _ = own_fields(_sampled(left), rules)
        possible = left.rows * (left.rows - 1) // 2
    else:
        fields, _, _ = prepare(_sampled(left), _sampled(right), rules)
        possible = left.rows * right.rows
    plain = [f for f in fields if f.kind not in (Kind.CONTAINED, Kind.RECORD, Kind.MARKS)]
    blocking = [_nearest(left, right, fields)] if fields else []
    blocking += [
        rule
        for f in plain
        if f.kind in (Kind.CODE, Kind.DATE) and not f.few
        for rule in [_shared(left, right, f)]
    ]
    pairs = min(sum(rule.pairs for rule in blocking), possible)
    length = _characters(f.left for f in fields)
    if right is not None:
        length += _characters(f.right for f in fields)
    likenesses = pairs * len(fields)
    seconds = (
        _START_SECONDS
        + length * _SECONDS_OF_CHARACTER
        + likenesses * _SECONDS_OF_LIKENESS
        + min(pairs, _LEARNED_FROM) * _SECONDS_OF_LEARNING
    )
    memory = (
        _START_BYTES
        + length * _BYTES_OF_CHARACTER
        + pairs * _BYTES_OF_PAIR
        + likenesses * _BYTES_OF_LIKENESS
    )
    return Plan(
        rules=blocking,
        left_records=left.rows,
        right_records=None if right is None else right.rows,
        pairs=pairs,
        possible_pairs=possible,
        compared=[(f.left.name, f.right.name, f.kind.name.lower()) for f in fields],
        seconds=round(seconds, 1),
        memory_mb=round(memory / 1e6),
    )


def _sampled(dataset: Dataset) -> Dataset:
    """Return some records, evenly spread, under the descriptions of all."""
    if dataset.rows <= _SAMPLE:
        return dataset
    rows = np.linspace(0, dataset.rows - 1, _SAMPLE).astype(np.int64)
    return Dataset.from_table(dataset.name, dataset.table.take(pa.array(rows)), dataset.columns)


def _nearest(left: Dataset, right: Dataset | None, fields: list[FieldPair]) -> BlockingRule:
    if right is None:
        found = left.rows * min(NEIGHBOURS, max(left.rows - 1, 0))
    else:
        found = left.rows * min(NEIGHBOURS, right.rows) + right.rows * min(NEIGHBOURS, left.rows)
    mine, theirs = [f.left.name for f in fields], [f.right.name for f in fields]
    return BlockingRule("nearest", mine, theirs, pairs=round(found * _MUTUAL))


def _shared(left: Dataset, right: Dataset | None, field: FieldPair) -> BlockingRule:
    """Return the rule of a column, its pairs counted: value by value, how many have it."""
    mine = _counts(left, field.left)
    if right is None:
        often = np.asarray([count for value, count in mine.items() if value], np.int64)
        pairs = often * (often - 1) // 2
        found = int(pairs[often * often <= SAME_KEY].sum())
    else:
        theirs = _counts(right, field.right)
        products = [n * theirs[value] for value, n in mine.items() if value and value in theirs]
        found = sum(product for product in products if product <= SAME_KEY)
    return BlockingRule("shared_value", [field.left.name], [field.right.name], pairs=found)


def _counts(dataset: Dataset, column: Column) -> dict[str, int]:
    counted = pc.value_counts(comparable_text(dataset, column))
    values, counts = counted.flatten()
    return dict(zip(values.to_pylist(), counts.to_pylist(), strict=True))


def _characters(columns: Iterable[Column]) -> float:
    """Return how long all records are together: what words and letter groups cost."""
    lengths = {column.name: column.mean_length * column.filled for column in columns}
    return float(sum(lengths.values()))
