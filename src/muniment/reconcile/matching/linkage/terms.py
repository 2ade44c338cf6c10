"""Words and letter groups of texts as sparse matrices, without a loop over the texts."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

Matrix = Any  # scipy.sparse.csr_matrix: scipy ships no types
Codes = npt.NDArray[np.int64]

_GRAM: Final = 3
"""Letters of a group. Three survive a typing error in most words and still tell words apart."""


def gram_codes(texts: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the row and the code of every group of three bytes, the ends marked by a space."""
    count = len(texts)
    if not count:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    padded = pc.binary_join_element_wise(" ", texts, " ", "")
    if isinstance(padded, pa.ChunkedArray):
        padded = padded.combine_chunks()
    padded = padded.cast(pa.large_string())
    _, offsets_buffer, data_buffer = padded.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[: count + 1]
    data = np.frombuffer(data_buffer, np.uint8)[: offsets[-1]].astype(np.int64)
    groups = np.maximum(np.diff(offsets) - (_GRAM - 1), 0)
    rows = np.repeat(np.arange(count), groups)
    starts = np.repeat(offsets[:-1] - np.concatenate(([0], np.cumsum(groups)[:-1])), groups)
    places = np.arange(len(rows)) + starts
    codes = (data[places] << 16) | (data[places + 1] << 8) | data[places + 2]
    return rows, codes


def gram_profile(texts: pa.Array) -> npt.NDArray[np.float64]:
    """Return how often each letter group stands in a column, damped, in 4,096 hashed places."""
    _, codes = gram_codes(texts)
    places = (codes * 2_654_435_761 >> 13) & 4_095
    return np.sqrt(np.bincount(places, minlength=4_096).astype(np.float64))


def gram_counts(left: pa.Array, right: pa.Array) -> tuple[Matrix, Matrix]:
    """Return the counts of letter groups of two columns over the same vocabulary."""
    left_rows, left_codes = gram_codes(left)
    right_rows, right_codes = gram_codes(right)
    return _counts((left_rows, left_codes, len(left)), (right_rows, right_codes, len(right)))


def word_counts(left: pa.Array, right: pa.Array) -> tuple[Matrix, Matrix]:
    """Return the counts of words of two columns over the same vocabulary."""
    both = pc.utf8_split_whitespace(pa.concat_arrays([left, right]))
    rows = np.asarray(pc.list_parent_indices(both), np.int64)
    words = pc.dictionary_encode(pc.list_flatten(both))
    filled = np.asarray(pc.not_equal(pc.list_flatten(both), ""))
    codes = np.asarray(words.indices, np.int64)[filled]
    rows = rows[filled]
    on_left = rows < len(left)
    return _counts(
        (rows[on_left], codes[on_left], len(left)),
        (rows[~on_left] - len(left), codes[~on_left], len(right)),
    )


def weigh(left: Matrix, right: Matrix) -> tuple[Matrix, Matrix]:
    """Return both with rows of length one, entries weighted by rarity (tf-idf, tf damped)."""
    rarity = rarity_of(left, right)
    return _unit(left, rarity), _unit(right, rarity)


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
    held = sum(np.asarray((matrix > 0).sum(axis=0)).ravel() for matrix in matrices)
    return np.asarray(np.log(1 + total / np.maximum(held, 1)), np.float32)


def stack(parts: list[Matrix]) -> Matrix:
    """Return matrices side by side, rows of length one again."""
    together = sparse.hstack(parts, format="csr", dtype=np.float32)
    return _normalised(together)


def row_products(a: Matrix, b: Matrix, i: Any, j: Any) -> npt.NDArray[np.float64]:
    """Return the dot product of row i of `a` with row j of `b`, for each pair, in blocks."""
    found = np.empty(len(i))
    for start in range(0, len(i), 100_000):
        chosen = slice(start, start + 100_000)
        found[chosen] = np.asarray(a[i[chosen]].multiply(b[j[chosen]]).sum(axis=1)).ravel()
    return found


def _unit(counts: Matrix, rarity: npt.NDArray[np.float32]) -> Matrix:
    weighted = counts.astype(np.float32)
    weighted.data = (1 + np.log(weighted.data)) * rarity[weighted.indices]
    return _normalised(weighted)


def _normalised(matrix: Matrix) -> Matrix:
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    lengths[lengths == 0] = 1
    matrix.data = matrix.data / np.repeat(lengths, np.diff(matrix.indptr)).astype(np.float32)
    return matrix


def _counts(
    left: tuple[Codes, Codes, int], right: tuple[Codes, Codes, int]
) -> tuple[Matrix, Matrix]:
    """Return counts over the vocabulary of both; each side is rows, codes, number of rows."""
    vocabulary, places = np.unique(np.concatenate((left[1], right[1])), return_inverse=True)
    width = max(len(vocabulary), 1)
    parts = []
    for (rows, codes, size), own in (
        (left, places[: len(left[1])]),
        (right, places[len(left[1]) :]),
    ):
        ones = np.ones(len(codes), np.float32)
        parts.append(sparse.csr_matrix((ones, (rows, own)), shape=(size, width)))
    return parts[0], parts[1]
