"""The weight of a level: how much more often it is seen among matches than among others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_PRIOR: Final = 0.5
"""Imagined observations of each level on both sides (Jeffreys' prior), so that what was not seen
among a hundred matches is held to happen once in two hundred."""

_CELL: Final = 5.0
"""Expected observations of a pair of values from which on their own count outweighs what their
likeness says."""


@dataclass(frozen=True)
class Cells:
    """Pairs of values of a field that has few: which go together is learned."""

    code: Rows
    """Of each pair of records, its pair of values."""
    many: npt.NDArray[np.int64]
    """Pairs of records by pair of values."""
    known: npt.NDArray[np.bool_]
    """False where a value is missing."""

    def weigh(self, weight: Floats, p: Floats, rest: Floats) -> Floats:
        """Return the weight of each pair of records, by its pair of values.

        Two names of one thing ("SIGMOD" and its full title) share no letters, yet go together.
        The expected count of a pair of values among matches, if they did not go together, is the
        count of matches times its share among the others; the ratio of seen to expected is its
        weight, drawn to that of the values' likeness while few are expected.

        Args:
            weight: of each pair of records, by the likeness of its values.
            p: probability of each to match.
            rest: how much of each is among the others.
        """
        p, rest = p * self.known, rest * self.known
        seen = np.bincount(self.code, p)
        others = np.bincount(self.code, rest)
        expected = p.sum() * (others + 0.1) / (others.sum() + 0.1 * len(others))
        alike = np.exp2(np.bincount(self.code, weight) / self.many)
        ratio = seen + _CELL * np.minimum(alike, 1) + 1e-9
        ratio /= expected + _CELL / np.maximum(alike, 1)
        return np.where(self.known, np.log2(ratio)[self.code], 0.0)


def cells_of(cell: Rows) -> Cells:
    """Return the pairs of values; -1 is a missing one."""
    _, code = np.unique(cell, return_inverse=True)
    return Cells(code, np.bincount(code), cell >= 0)


def increasing(m_count: Floats, u_count: Floats) -> Floats:
    """Return m / u by level, smoothed, and never less at a higher level.

    Neighbouring levels in the wrong order are pooled (pool adjacent violators), which is the
    maximum likelihood under the order.
    """
    blocks: list[list[float]] = []
    for m, u in zip(m_count.tolist(), u_count.tolist(), strict=True):
        blocks.append([m, u, 1] if m + u else [0.0, 0.0, 1])
        while len(blocks) > 1 and _ratio(blocks[-2]) >= _ratio(blocks[-1]):
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    m_total = m_count.sum() + _PRIOR * len(blocks)
    u_total = u_count.sum() + _PRIOR * len(blocks)
    found = []
    for m, u, size in blocks:
        ratio = ((m + _PRIOR) / m_total) / ((u + _PRIOR) / u_total)
        found.extend([ratio] * int(size))
    return np.maximum.accumulate(np.asarray(found))


def _ratio(block: list[float]) -> float:
    return (block[0] + 1e-9) / (block[1] + 1e-9)
