"""The records as Splink reads them: one table for each side, with columns of the same names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.loading.errors import NoSharedColumns
from muniment.reconcile.matching.linkage.fields import plain_name
from muniment.reconcile.matching.splink_model.checked import SplinkModel, columns_of
from muniment.reconcile.matching.splink_model.errors import SplinkSettingsUnusable
from muniment.reconcile.pairing import pair_columns
from muniment.reconcile.rules import Rules

ROW_ID: Final = "muniment_row"
"""Column with the position of a record from 0: what Splink returns of a pair."""

_COUNTED: Final = frozenset({Role.amount, Role.number})
"""Roles whose values are numbers to Splink; codes and years are text, as a model expects that
compares them letter by letter."""


@dataclass(frozen=True)
class Compared:
    """One comparison of the model, and the columns of both datasets that it looks at first."""

    name: str
    left: Column
    right: Column


@dataclass(frozen=True)
class Tables:
    """Both datasets for Splink; the right one is None for duplicates."""

    left: pa.Table
    right: pa.Table | None
    compared: list[Compared]
    columns: dict[str, Column]
    """By the name that the settings use: the left dataset's column."""


def make_tables(
    left: Dataset, right: Dataset | None, model: SplinkModel, rules: Rules, dialect: str
) -> Tables:
    """Return the columns that the model speaks of, cleaned, an empty cell as null.

    A column of the right dataset is found by the left one's name, by what the rules compare it
    with, or by what the data show.

    Raises:
        SplinkSettingsUnusable: the model speaks of a column that is not there.
    """
    used: dict[str, None] = {}
    firsts = []
    for comparison in model.comparisons:
        found: dict[str, None] = {}
        for level in comparison.comparison_levels:
            if level.sql_condition.strip().upper() != "ELSE":
                found |= dict.fromkeys(columns_of(level.sql_condition, dialect))
            if level.tf_adjustment_column:
                used[level.tf_adjustment_column] = None
        used |= found
        firsts.append(next(iter(found), None))
    for rule in model.rules:
        used |= dict.fromkeys(columns_of(rule, dialect))
    used.pop("source_dataset", None)
    mine = {name: _named(left, name) for name in used}
    theirs = {} if right is None else _counterparts(mine, left, right, rules)
    compared = [
        Compared(c.output_column_name, mine[first], theirs.get(first, mine[first]))
        for c, first in zip(model.comparisons, firsts, strict=True)
        if first is not None
    ]
    if len(compared) < len(model.comparisons):
        raise SplinkSettingsUnusable("A comparison speaks of no column")
    return Tables(
        _table(left, mine), None if right is None else _table(right, theirs), compared, mine
    )


def _named(dataset: Dataset, name: str) -> Column:
    for column in dataset.columns:
        if column.name == name:
            return column
    for column in dataset.columns:
        if plain_name(column.name) == plain_name(name):
            return column
    raise SplinkSettingsUnusable(f"The model speaks of “{name}”, which “{dataset.name}” has not")


def _counterparts(
    mine: dict[str, Column], left: Dataset, right: Dataset, rules: Rules
) -> dict[str, Column]:
    told = {pair.left: pair.right for pair in rules.compare or []}
    names = {plain_name(column.name) for column in right.columns}
    seen: dict[str, str] = {}
    if any(c.name not in told and plain_name(c.name) not in names for c in mine.values()):
        try:
            seen = {pair.left: pair.right for pair in pair_columns(left, right)}
        except NoSharedColumns:
            seen = {}
    found = {}
    for name, column in mine.items():
        other = told.get(column.name)
        if other is None and plain_name(column.name) not in names:
            other = seen.get(column.name)
        found[name] = _named(right, other or column.name)
    return found


def _table(dataset: Dataset, columns: dict[str, Column]) -> pa.Table:
    values: dict[str, Any] = {ROW_ID: pa.array(np.arange(dataset.rows, dtype=np.int64))}
    for name, column in columns.items():
        found: Any = dataset.values(column.name)
        numeric = column.type in (ColumnType.integer, ColumnType.number, ColumnType.decimal)
        if numeric and column.role in _COUNTED:
            values[name] = pc.cast(found, pa.float64())
            continue
        text = pc.cast(found, pa.string())
        values[name] = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return pa.table(values)


def as_text(tables: Tables) -> Tables:
    """Return the same as text: for a model that compares numbers letter by letter."""

    def told(table: pa.Table) -> pa.Table:
        names = table.column_names
        columns = [
            c if n == ROW_ID else pc.cast(c, pa.string())
            for n, c in zip(names, table.columns, strict=True)
        ]
        return pa.table(columns, names=names)

    right = None if tables.right is None else told(tables.right)
    return replace(tables, left=told(tables.left), right=right)
