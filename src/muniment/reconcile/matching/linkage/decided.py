"""What people have decided, as a model takes it: pairs known to be right, and known to be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from muniment.reconcile.columns import Dataset
from muniment.reconcile.matching.given import Given, RowPair
from muniment.reconcile.matching.linkage.candidates import Pairs
from muniment.reconcile.matching.linkage.model import CERTAIN

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Decided:
    """Decisions as positions of records, from 0, of those that are still there."""

    accepted: Pairs
    rejected: Pairs

    def known(self, i: Rows, j: Rows, width: int) -> Floats:
        """Return the base-2 log odds that the decisions give each pair: 0 where there is none.

        Args:
            i: left record of each pair.
            j: right record of each pair.
            width: number of right records.
        """
        found = np.zeros(len(i))
        found[self._among(self.accepted, i, j, width)] = CERTAIN
        found[self._among(self.rejected, i, j, width)] = -CERTAIN
        return found

    @staticmethod
    def _among(pairs: Pairs, i: Rows, j: Rows, width: int) -> Flags:
        return np.isin(i * width + j, pairs[0] * width + pairs[1])


NOTHING: Final = Decided(
    (np.zeros(0, np.int64), np.zeros(0, np.int64)), (np.zeros(0, np.int64), np.zeros(0, np.int64))
)


def decisions(given: Given, left: Dataset, right: Dataset) -> Decided:
    """Return the decisions about records that the datasets hold; others have no say."""
    if not (given.accepted or given.rejected):
        return NOTHING
    numbers = [np.asarray(side.values("row"), np.int64) for side in (left, right)]
    return Decided(_positions(given.accepted, *numbers), _positions(given.rejected, *numbers))


def _positions(pairs: list[RowPair], left: Rows, right: Rows) -> Pairs:
    rows = np.asarray(pairs, np.int64).reshape(-1, 2)
    (i, in_left), (j, in_right) = _find(rows[:, 0], left), _find(rows[:, 1], right)
    there = in_left & in_right
    return i[there], j[there]


def _find(wanted: Rows, numbers: Rows) -> tuple[Rows, Flags]:
    """Return where each wanted row number stands, and whether it does."""
    order = np.argsort(numbers, kind="stable")
    place = np.searchsorted(numbers[order], wanted)
    at = order[np.minimum(place, len(order) - 1)]
    return at, numbers[at] == wanted
