"""Only what is new: the records that the last run did not see, against all others.

The result is that of a full run within these bounds:

- New pairs are judged by the weights, and matched from the threshold, of the last full run. It
  learned from what was there then; where the new records are of another kind it knows less.
- Pairs of the last run keep their confidence. They compete with the new pairs for their records,
  but what the new records say about how common a value is does not reach them.
- A new record is compared with its nearest and with those that share a code. An earlier record
  that would choose it, without being among the nearest of the new one, is not.

So after a fifth of the records or more are new, everything is compared again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from muniment.reconcile.columns import Dataset
from muniment.reconcile.matching.given import Earlier
from muniment.reconcile.matching.linkage.candidates import Pairs, nearest, sharing, union
from muniment.reconcile.matching.linkage.describe import DECISION, STAGES
from muniment.reconcile.matching.linkage.fields import FieldPair, Kind
from muniment.reconcile.matching.linkage.learned import Learned, read_model
from muniment.reconcile.matching.linkage.sides import Side

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_NEW: Final = 0.2
"""Share of new records from which a full run is made: the last model knows too little of them."""

_SURE: Final = 1e-9
"""How near to 0 or 1 a confidence may be: a written 1.0 is no proof."""


@dataclass(frozen=True)
class Again:
    """What an incremental run starts from. Positions count from 0."""

    learned: Learned
    new_left: Rows
    new_right: Rows
    """Of one dataset, the same as the left ones."""
    pairs: Pairs
    """Of the last run, sorted by left and right record."""
    confidence: Floats
    """Of each; NaN where a person's decision stood for it, which may have been taken back."""

    def of_new(self, found: list[Pairs]) -> list[Pairs]:
        """Return only the pairs that a new record is in: others were known to the last run."""
        kept = []
        for i, j in found:
            news = np.isin(i, self.new_left) | np.isin(j, self.new_right)
            kept.append((i[news], j[news]))
        return kept

    def score(self, i: Rows, j: Rows, width: int) -> Floats:
        """Return the base-2 log odds of pairs that the last run judged, NaN for all others."""
        found = np.full(len(i), np.nan)
        if len(self.pairs[0]):
            codes = self.pairs[0] * width + self.pairs[1]
            place = np.minimum(np.searchsorted(codes, i * width + j), len(codes) - 1)
            there = codes[place] == i * width + j
            p = np.clip(self.confidence[place[there]], _SURE, 1 - _SURE)
            found[there] = np.log2(p / (1 - p))
        return found


def begin(
    earlier: Earlier | None, left: Dataset, right: Dataset | None, fields: list[FieldPair]
) -> tuple[Again | None, list[str]]:
    """Return what an incremental run starts from, or None and why everything is compared.

    Args:
        earlier: what the last run found.
        left: the dataset as it is now.
        right: the other one; None where duplicates of one are sought.
        fields: what would be compared now: the model must be about the same.
    """
    if earlier is None:
        return None, []
    learned = read_model(earlier.model)
    if learned is None:
        return None, ["All records were compared: there is no model of an earlier run to go by."]
    if not learned.is_about(fields):
        return None, ["All records were compared: other columns are compared than before."]
    if right is None and learned.unique_left:
        return None, ["All records were compared: each may have one duplicate only."]
    # The threshold is the confidence of some pair, which must not fall below it by rounding.
    learned = msgspec.structs.replace(learned, threshold=max(learned.threshold - _SURE, 0.0))
    new_left = new_right = _positions(left, earlier.new_left)
    news, rows = len(new_left), left.rows
    if right is not None:
        new_right = _positions(right, earlier.new_right)
        news, rows = news + len(new_right), rows + right.rows
    if news > _NEW * rows:
        return None, ["All records were compared: too many are new for the earlier model."]
    pairs, confidence = _earlier_pairs(earlier, left, left if right is None else right)
    note = f"{news} new records were compared with all others."
    return Again(learned, new_left, new_right, pairs, confidence), [note]


def new_pairs(again: Again, fields: list[FieldPair], ours: Side, theirs: Side) -> Pairs:
    """Return the pairs of two datasets that a new record is in, and those of the last run."""
    mine, others = again.new_left, again.new_right
    forth = nearest(ours.vectors[mine], theirs.vectors)
    back = nearest(theirs.vectors[others], ours.vectors)
    found = [again.pairs, (mine[forth[0]], forth[1]), (back[1], others[back[0]])]
    found += again.of_new(_sharing_codes(fields, ours, theirs))
    return union(found, theirs.vectors.shape[0])


def new_own_pairs(again: Again, fields: list[FieldPair], side: Side) -> Pairs:
    """Return the pairs of one dataset that a new record is in, and those of the last run."""
    new = again.new_left
    near = nearest(side.vectors[new], side.vectors)
    found = [again.pairs, (new[near[0]], near[1])]
    found += again.of_new(_sharing_codes(fields, side, side))
    ordered = [(np.minimum(i, j), np.maximum(i, j)) for i, j in found]
    i, j = union(ordered, side.vectors.shape[0])
    return i[i != j], j[i != j]


def _sharing_codes(fields: list[FieldPair], ours: Side, theirs: Side) -> list[Pairs]:
    return [
        sharing(ours.texts[f.left.name], theirs.texts[f.right.name])
        for f in fields
        if f.kind in (Kind.CODE, Kind.DATE) and not f.few
    ]


def _earlier_pairs(earlier: Earlier, left: Dataset, right: Dataset) -> tuple[Pairs, Floats]:
    """Return the pairs of the last run whose records are still there, sorted."""
    count = len(earlier.pairs)
    numbers = np.asarray([(a, b) for a, b, _, _ in earlier.pairs], np.int64).reshape(count, 2)
    confidence = np.asarray([p for _, _, p, _ in earlier.pairs], np.float64)
    decided = [stage == STAGES[DECISION] for _, _, _, stage in earlier.pairs]
    confidence[np.asarray(decided, np.bool_)] = np.nan
    (i, in_left), (j, in_right) = _found(left, numbers[:, 0]), _found(right, numbers[:, 1])
    there = in_left & in_right
    i, j, confidence = i[there], j[there], confidence[there]
    if left is right:
        i, j = np.minimum(i, j), np.maximum(i, j)
    order = np.lexsort((j, i))
    return (i[order], j[order]), confidence[order]


def _positions(dataset: Dataset, rows: list[int]) -> Rows:
    at, there = _found(dataset, np.asarray(rows, np.int64))
    return np.unique(at[there])


def _found(dataset: Dataset, rows: Rows) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Return the position of each 1-based row, and whether it is there."""
    numbers = np.asarray(dataset.values("row"), np.int64)
    if not len(numbers):
        return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
    order = np.argsort(numbers, kind="stable")
    place = np.minimum(np.searchsorted(numbers[order], rows), len(numbers) - 1)
    at = order[place]
    return at, numbers[at] == rows
