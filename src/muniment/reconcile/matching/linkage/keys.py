"""Columns whose equal values name the same thing: told by somebody, or seen in the data.

A code may mean the same on both sides, or only look alike. Two exports number their records from
one: the numbers agree, the records do not. A shared code is believed if the records that share it
are alike in everything else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.columns import Dataset, Role
from muniment.reconcile.loading.errors import NoSuchColumn
from muniment.reconcile.matching.linkage.candidates import Pairs, sharing
from muniment.reconcile.matching.linkage.fields import FieldPair, Kind, comparable_text
from muniment.reconcile.matching.linkage.terms import Matrix, row_products
from muniment.reconcile.rules import Rules

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_UNIQUE: Final = 0.95
"""Share of different values from which a column names its records: a key has few repetitions."""

_TESTED: Final = 2_000
"""Pairs that share a code and are looked at."""

_ENOUGH: Final = 5
"""Pairs that must share a code before an identifier is compared at all."""


def trusted_fields(
    paired: list[FieldPair],
    left_texts: dict[str, pa.Array],
    right_texts: dict[str, pa.Array],
    a: Matrix,
    b: Matrix,
) -> list[FieldPair]:
    """Return the pairs of fields without those whose equal values join unlike records."""
    return [
        f
        for f in paired
        if f.kind is not Kind.CODE
        or Role.identifier not in (f.left.role, f.right.role)
        or _joins_alike(left_texts[f.left.name], right_texts[f.right.name], a, b)
    ]


def _joins_alike(left: pa.Array, right: pa.Array, a: Matrix, b: Matrix) -> bool:
    """Return whether most records that share a value are more alike than chance pairs."""
    i, j = sharing(left, right)
    if len(i) < _ENOUGH:
        return False
    random = np.random.default_rng(0)
    picked = random.choice(len(i), min(len(i), _TESTED), replace=False)
    joined = row_products(a, b, i[picked], j[picked])
    chance = row_products(a, b, random.permutation(i[picked]), random.permutation(j[picked]))
    # The vectors hold the code itself, so a little more likeness is no proof: most joined pairs
    # must be beyond nearly all chance pairs.
    return bool(np.median(joined) > max(np.quantile(chance, 0.99), 0.3))


@dataclass(frozen=True)
class Keyed:
    """Pairs of records that have a key in common, as positions from 0."""

    told: list[Pairs] = field(default_factory=list)
    """By the keys that the rules name: they match for having them."""
    seen: list[Pairs] = field(default_factory=list)
    """By columns that look like keys: the model stays the judge of these."""

    @property
    def pairs(self) -> list[Pairs]:
        """Return all of them, to be candidates."""
        return [*self.told, *self.seen]


def among(pairs: list[Pairs], i: Rows, j: Rows, width: int) -> Flags:
    """Return which of the candidates (i, j) are among these pairs; `width`: right records."""
    if not pairs:
        return np.zeros(len(i), np.bool_)
    return np.isin(i * width + j, np.concatenate([a * width + b for a, b in pairs]))


def find_keyed(
    left: Dataset,
    right: Dataset,
    fields: list[FieldPair],
    texts: tuple[dict[str, pa.Array], dict[str, pa.Array]],
    rules: Rules,
) -> Keyed:
    """Return the pairs of records that the stage `exact` finds.

    Keys that the rules name are tried in order: a record found by one is not looked for by the
    next. Without any, codes that are (nearly) unique on both sides are keys: mail addresses, tax
    numbers, references.

    Raises:
        NoSuchColumn: the rules name a column that is not there.
    """
    if not rules.stages.exact:
        return Keyed()
    if not rules.keys:
        return Keyed(
            seen=[
                sharing(texts[0][f.left.name], texts[1][f.right.name])
                for f in fields
                if f.kind is Kind.CODE and min(f.left.uniqueness, f.right.uniqueness) >= _UNIQUE
            ]
        )
    told: list[Pairs] = []
    for key in rules.keys:
        i, j = sharing(key_text(left, key.left), key_text(right, key.right))
        free = np.ones(len(i), np.bool_)
        for a, b in told:
            free &= ~np.isin(i, a) & ~np.isin(j, b)
        told.append((i[free], j[free]))
    return Keyed(told=told)


def key_text(dataset: Dataset, names: list[str]) -> Any:
    """Return the named columns of each record as one code; "" where one of them is empty.

    Raises:
        NoSuchColumn: there is no column of that name.
    """
    parts = []
    for name in names:
        found = [column for column in dataset.columns if column.name == name]
        if not found:
            raise NoSuchColumn(f"“{dataset.name}” has no column “{name}”", column=name)
        parts.append(comparable_text(dataset, replace(found[0], role=Role.reference)))
    whole = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, "\x1f")
    for part in parts:
        whole = pc.if_else(pc.equal(part, ""), "", whole)
    return whole
