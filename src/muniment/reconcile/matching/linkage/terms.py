"""Words and letter groups of texts as sparse matrices, without a loop over the texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

Matrix = Any  # scipy.sparse.csr_matrix: scipy ships no types

_GRAM: Final = 3
"""Letters of a group. Three survive a typing error in most words and still tell words apart."""

_GRAMS: Final = 1 << 24
"""Groups of three bytes that are possible."""

_TEXTS: Final = 100_000
"""Texts taken apart at a time, which bounds the memory of the codes."""

_PRODUCTS: Final = 100_000
"""Pairs of rows multiplied at a time."""


def gram_codes(texts: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the row and the code of every group of three bytes, the ends marked by a space."""
    count = len(texts)
    if not count:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    groups, codes = _grams(texts)
    return np.repeat(np.arange(count), groups), codes.astype(np.int64)


def gram_profile(texts: pa.Array) -> npt.NDArray[np.float64]:
    """Return how often each letter group stands in a column, damped, in 4,096 hashed places."""
    _, codes = gram_codes(texts)
    places = (codes * 2_654_435_761 >> 13) & 4_095
    return np.sqrt(np.bincount(places, minlength=4_096).astype(np.float64))


def gram_counts(left: pa.Array, right: pa.Array) -> tuple[Matrix, Matrix]:
    """Return the counts of letter groups of two columns over the same vocabulary.

    Of one column with itself the same matrix twice: it is counted once.
    """
    mine = _gram_matrix(left)
    theirs = mine if right is left else _gram_matrix(right)
    held = np.zeros(_GRAMS, np.bool_)
    held[mine.indices] = True
    held[theirs.indices] = True
    place = np.cumsum(held, dtype=np.int32) - np.int32(1)
    width = max(int(place[-1]) + 1, 1)
    narrow = _narrowed(mine, place, width)
    return narrow, narrow if theirs is mine else _narrowed(theirs, place, width)


def word_counts(left: pa.Array, right: pa.Array) -> tuple[Matrix, Matrix]:
    """Return the counts of words of two columns over the same vocabulary."""
    both = left if right is left else pa.concat_arrays([left, right])
    split = pc.utf8_split_whitespace(both)
    words = pc.dictionary_encode(pc.list_flatten(split))
    filled = np.asarray(pc.not_equal(pc.list_flatten(split), ""))
    rows = np.asarray(pc.list_parent_indices(split), np.int64)[filled]
    codes = np.asarray(words.indices, np.int32)[filled]
    per_row = np.bincount(rows, minlength=len(both))
    counts = _rows_of(codes, per_row, max(len(words.dictionary), 1))
    if right is left:
        return counts, counts
    return counts[: len(left)], counts[len(left) :]


def weigh(left: Matrix, right: Matrix) -> tuple[Matrix, Matrix]:
    """Return both with rows of length one, entries weighted by rarity (tf-idf, tf damped)."""
    rarity = rarity_of(left, right)
    mine = _unit(left, rarity)
    return mine, mine if right is left else _unit(right, rarity)


def shares(counts: Matrix, rarity: npt.NDArray[np.float32]) -> Matrix:
    """Return the weight of each term as a share of its row: rows sum to one."""
    weighted = counts.copy()
    weighted.data = rarity[weighted.indices]
    sums = np.asarray(weighted.sum(axis=1)).ravel()
    sums[sums == 0] = 1
    weighted.data = weighted.data / np.repeat(sums, np.diff(weighted.indptr)).astype(np.float32)
    return weighted


def rarity_of(*matrices: Matrix) -> npt.NDArray[np.float32]:
    """Return the logarithm of how few rows hold each term (idf)."""
    total = sum(matrix.shape[0] for matrix in matrices)
    held = sum(np.bincount(matrix.indices, minlength=matrix.shape[1]) for matrix in matrices)
    return np.asarray(np.log(1 + total / np.maximum(held, 1)), np.float32)


def stack(parts: list[Matrix]) -> Matrix:
    """Return matrices side by side, rows of length one again."""
    together = sparse.hstack(parts, format="csr", dtype=np.float32)
    return _normalised(together)


def row_products(a: Matrix, b: Matrix, i: Any, j: Any) -> npt.NDArray[np.float64]:
    """Return the dot product of row i of `a` with row j of `b`, for each pair, in blocks."""
    found = np.empty(len(i))

    def fill(start: int) -> None:
        chosen = slice(start, start + _PRODUCTS)
        found[chosen] = np.asarray(a[i[chosen]].multiply(b[j[chosen]]).sum(axis=1)).ravel()

    on_all_cores(fill, range(0, len(i), _PRODUCTS))
    return found


def on_all_cores(work: Callable[[int], None], starts: Sequence[int]) -> None:
    """Do pieces of work in threads: numpy, scipy, Arrow and RapidFuzz let others run meanwhile."""
    workers = min(len(starts), cores())
    if workers < 2:
        for start in starts:
            work(start)
        return
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(work, starts):
            pass


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _grams(texts: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return how many groups of three bytes each text has, and the codes of all, in order."""
    padded = pc.binary_join_element_wise(" ", texts, " ", "")
    if isinstance(padded, pa.ChunkedArray):
        padded = padded.combine_chunks()
    padded = padded.cast(pa.large_string())
    _, offsets_buffer, data_buffer = padded.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[: len(texts) + 1]
    data = np.frombuffer(data_buffer, np.uint8)[: offsets[-1]].astype(np.int32)
    groups = np.maximum(np.diff(offsets) - (_GRAM - 1), 0)
    codes = (data[:-2] << 16) | (data[1:-1] << 8) | data[2:]
    # Groups that reach from one text into the next are none: those at the last two bytes of each.
    inside = np.ones(len(data), np.bool_)
    inside[offsets[1:] - 1] = False
    inside[offsets[1:] - 2] = False
    return groups, codes[inside[: len(codes)]]


def _gram_matrix(texts: pa.Array) -> Matrix:
    """Return the counts of letter groups, a column for each that is possible."""
    parts = []
    for start in range(0, max(len(texts), 1), _TEXTS):
        some = texts.slice(start, _TEXTS)
        groups, codes = _grams(some) if len(some) else (np.zeros(0, np.int64), np.zeros(0, "i4"))
        parts.append(_rows_of(codes, groups, _GRAMS))
    return parts[0] if len(parts) == 1 else sparse.vstack(parts, format="csr", dtype=np.float32)


def _rows_of(codes: npt.NDArray[np.int32], per_row: Any, width: int) -> Matrix:
    """Return counts from the codes of all rows, one row after the other."""
    starts = np.concatenate(([0], np.cumsum(per_row))).astype(
        np.int32 if len(codes) < 2**31 else np.int64
    )
    counts = sparse.csr_matrix(
        (np.ones(len(codes), np.float32), codes, starts), shape=(len(per_row), width)
    )
    counts.sum_duplicates()
    return counts


def _narrowed(counts: Matrix, place: npt.NDArray[np.int32], width: int) -> Matrix:
    """Return the matrix with its columns renumbered: the order of columns is kept."""
    return sparse.csr_matrix(
        (counts.data, place[counts.indices], counts.indptr), shape=(counts.shape[0], width)
    )


def _unit(counts: Matrix, rarity: npt.NDArray[np.float32]) -> Matrix:
    weights = (1 + np.log(counts.data)) * rarity[counts.indices]
    return _normalised(
        sparse.csr_matrix((weights, counts.indices, counts.indptr), shape=counts.shape)
    )


def _normalised(matrix: Matrix) -> Matrix:
    """Divide each row by its length, in place."""
    sizes = np.diff(matrix.indptr)
    sums = np.zeros(matrix.shape[0], np.float32)
    filled = sizes > 0
    if filled.any():
        squares = np.square(matrix.data, dtype=np.float32)
        sums[filled] = np.add.reduceat(squares, matrix.indptr[:-1][filled])
    sums[sums == 0] = 1
    matrix.data /= np.repeat(np.sqrt(sums), sizes)
    return matrix
