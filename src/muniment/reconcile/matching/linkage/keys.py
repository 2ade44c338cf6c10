"""Whether a code means the same on both sides, or only looks alike.

Two exports number their records from one: the numbers agree, the records do not. A shared code is
believed if the records that share it are alike in everything else.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from muniment.reconcile.columns import Role
from muniment.reconcile.matching.linkage.candidates import sharing
from muniment.reconcile.matching.linkage.fields import FieldPair, Kind
from muniment.reconcile.matching.linkage.terms import Matrix, row_products

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
