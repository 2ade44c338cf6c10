"""Which pairs of records are worth comparing: the few most alike of each record."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sparse_dot_topn import sp_matmul_topn

from muniment.reconcile.matching.linkage.terms import (
    Matrix,
    cores,
    gram_counts,
    stack,
    weigh,
    word_counts,
)

NEIGHBOURS: Final = 10
"""Candidates kept for each record. With fewer, a record whose namesakes are many (a chain's
branches, the volumes of a series) can lose its partner; with more, time goes to pairs that
nobody would confuse."""

_WORK: Final = 5_000
"""Multiplications spent on each record. Terms are given up from the most common on until the
product fits: they cost the most and tell the least."""

SAME_KEY: Final = 20
"""Records that may share a value of a key before it stops being one."""

Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def record_vectors(left: list[pa.Array], right: list[pa.Array]) -> tuple[Matrix, Matrix]:
    """Return each record as one vector: its words and letter groups, whatever the column.

    A value that stands in another column of the other dataset counts as much as in its own:
    first and last names are swapped, and one side's title is the other's description.
    """
    all_left = joined(left)
    all_right = all_left if right is left else joined(right)
    parts = [weigh(*word_counts(all_left, all_right)), weigh(*gram_counts(all_left, all_right))]
    mine = stack([part[0] for part in parts])
    return mine, mine if right is left else stack([part[1] for part in parts])


def nearest(a: Matrix, b: Matrix, *, count: int = NEIGHBOURS) -> Pairs:
    """Return the rows of `b` most alike to each row of `a`, as two arrays of row numbers."""
    if not (a.shape[0] and b.shape[0]):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    a, b = _affordable(a, b)
    # Only the best of a row are ever held, so that the product needs no blocks.
    best = sp_matmul_topn(a, b.T.tocsr(), count, n_threads=cores())
    rows = np.repeat(np.arange(a.shape[0], dtype=np.int64), np.diff(best.indptr))
    return rows, best.indices.astype(np.int64)


def sharing(left: pa.Array, right: pa.Array) -> Pairs:
    """Return the pairs of records that share a value which few others have."""
    both = pc.dictionary_encode(pa.concat_arrays([left, right]))
    codes = np.asarray(both.indices, np.int64)
    empty = pc.index(both.dictionary, "").as_py()
    mine, theirs = codes[: len(left)], codes[len(left) :]
    size = len(both.dictionary)
    often = np.bincount(mine, minlength=size) * np.bincount(theirs, minlength=size)
    usable = (often > 0) & (often <= SAME_KEY)
    if empty >= 0:
        usable[empty] = False
    order = np.argsort(theirs, kind="stable")
    starts = np.searchsorted(theirs[order], np.arange(size + 1))
    kept = np.flatnonzero(usable[mine])
    counts = starts[mine[kept] + 1] - starts[mine[kept]]
    i = np.repeat(kept, counts)
    shift = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
    return i, order[np.repeat(starts[mine[kept]], counts) + shift].astype(np.int64)


def union(found: list[Pairs], width: int) -> Pairs:
    """Return the pairs of all lists, each once, sorted by left and right row."""
    codes = np.unique(np.concatenate([i * width + j for i, j in found]))
    return codes // width, codes % width


def joined(texts: list[pa.Array]) -> pa.Array:
    """Return each record's texts as one."""
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, " ")


def _affordable(a: Matrix, b: Matrix) -> tuple[Matrix, Matrix]:
    """Leave out the most common terms until the product costs what it may."""
    cost = np.bincount(a.indices, minlength=a.shape[1]).astype(np.float64)
    cost *= np.bincount(b.indices, minlength=b.shape[1])
    order = np.argsort(cost)
    spent = np.cumsum(cost[order])
    budget = _WORK * max(a.shape[0], b.shape[0])
    if not len(spent) or spent[-1] <= budget:
        return a, b
    kept: Any = np.sort(order[: max(int(np.searchsorted(spent, budget)), 1)])
    return a[:, kept].tocsr(), b[:, kept].tocsr()
