"""Which of a few amounts add up to one amount: all subsets, of pools within a stated bound.

The number of subsets doubles with every amount, so the pool is bounded by `POOL`. Each half of it
has few enough subsets to write all sums down; two sorted lists of sums meet in the middle
(Horowitz and Sahni, JACM 21, 1974), so that every subset is found, whatever its size. Where more
than `MOST` add up, a sum says little, and these are returned: runs of neighbouring records (a
deposit of all cheques of two days), then the smallest subsets, and those of nearly all.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from muniment.reconcile.matching.ledger.signs import Ints

POOL = 24
MOST = 24
"""Answers returned for one target."""
_EACH = 8
"""Partners kept for a subset of the one half, the smallest first."""


def subsets(amounts: Sequence[int], target: int) -> tuple[list[tuple[int, ...]], bool]:
    """Return the subsets of two or more positions that add up to a target.

    Subsets of which two members cancel each other are left out: they say the same without them.

    Args:
        amounts: in the order of days; at most POOL are looked at.
        target: what they are to add up to.

    Returns:
        The subsets, and whether there were more than are returned.
    """
    pool = np.array(amounts[:POOL], dtype=np.int64)
    middle = len(pool) // 2
    ones, others = _members(middle), _members(len(pool) - middle)
    first, second = ones @ pool[:middle], others @ pool[middle:]
    order = np.lexsort((others.sum(axis=1), second))
    low = np.searchsorted(second[order], target - first, side="left")
    high = np.searchsorted(second[order], target - first, side="right")
    found = dict.fromkeys(runs(amounts[:POOL], target))
    pairs = [
        (int(ones[k].sum() + others[at].sum()), k, at)
        for k in np.flatnonzero(high > low).tolist()
        for at in order[low[k] : min(high[k], low[k] + _EACH)].tolist()
    ]
    pairs.sort(key=lambda p: min(p[0], len(pool) + 1 - p[0]))
    for _, k, at in pairs[: 4 * MOST]:
        members = np.flatnonzero(np.concatenate((ones[k], others[at])))
        if len(members) > 1:
            found.setdefault(tuple(members.tolist()))
    kept = [subset for subset in found if not _cancels(amounts, subset)]
    return kept[:MOST], len(kept) > MOST


@lru_cache(maxsize=POOL)
def _members(count: int) -> npt.NDArray[np.int64]:
    """Return all subsets of so many positions as rows of zeros and ones."""
    numbers: Ints = np.arange(1 << count, dtype=np.int64)
    return (numbers[:, None] >> np.arange(count, dtype=np.int64)) & 1


def _cancels(amounts: Sequence[int], subset: Sequence[int]) -> bool:
    """Whether two members cancel each other."""
    members = {amounts[k] for k in subset}
    return any(-amount in members for amount in members)


def runs(amounts: Sequence[int], target: int) -> list[tuple[int, ...]]:
    """Return runs of neighbouring positions, two or longer, that add up to a target."""
    seen: dict[int, list[int]] = defaultdict(list)
    total = 0
    found: list[tuple[int, ...]] = []
    seen[0].append(0)
    for end, amount in enumerate(amounts, start=1):
        total += amount
        found.extend(
            tuple(range(start, end)) for start in seen.get(total - target, ()) if end - start > 1
        )
        seen[total].append(end)
    return found[:MOST]


KEPT = 30_000
"""Sums written down for a pool that is too large for all of them."""
_AT_MOST = 20_000
"""Pairs of sums looked at for one target: where more meet it, the amounts are too round to tell."""


class Few:
    """Sums of a few of many amounts, for pools larger than `POOL`, searched for many targets.

    All subsets of up to so many members are written down as `KEPT` allows; two of them together
    have up to twice as many. Of 60 amounts subsets of six members are found, of 240 those of four.
    """

    def __init__(self, amounts: Sequence[int]) -> None:
        self._amounts = list(amounts)
        pool: Ints = np.array(amounts, dtype=np.int64)
        self.most = 1
        total = 1 + len(pool)
        while total + math.comb(len(pool), self.most + 1) <= KEPT and self.most < len(pool):
            self.most += 1
            total += math.comb(len(pool), self.most)
        parts = [np.zeros((1, 0), dtype=np.int64)]
        parts += [
            np.array(list(itertools.combinations(range(len(pool)), size)), dtype=np.int64)
            for size in range(1, self.most + 1)
        ]
        sums = np.concatenate([pool[part].sum(axis=1) for part in parts])
        order = np.argsort(sums, kind="stable")
        self._sums = sums[order]
        self._sizes = np.repeat(range(len(parts)), [len(part) for part in parts])[order]
        far = len(pool)
        self._first = np.concatenate([[far], *(part[:, 0] for part in parts[1:])])[order]
        self._last = np.concatenate([[-1], *(part[:, -1] for part in parts[1:])])[order]
        ends = np.cumsum([0, *(len(part) for part in parts)])
        self._where, self._parts, self._ends = order, parts, ends

    def subsets(self, target: int) -> tuple[list[tuple[int, ...]], bool]:
        """Return as `subsets` does, for amounts of one sign."""
        found = dict.fromkeys(runs(self._amounts, target))
        needles = target - self._sums[::-1]
        low = np.searchsorted(self._sums, needles, side="left")
        inside = low < len(self._sums)
        inside[inside] = self._sums[low[inside]] == needles[inside]
        firsts = len(self._sums) - 1 - np.flatnonzero(inside)
        low = low[inside]
        counts = np.searchsorted(self._sums, needles[inside], side="right") - low
        if counts.sum() > _AT_MOST:
            return list(found)[:MOST], True
        ones = np.repeat(firsts, counts)
        starts = np.repeat(low - np.cumsum(counts) + counts, counts)
        others = starts + np.arange(len(ones))
        # Each subset once: the earlier half of its members is the one, the later half the other.
        halves = self._sizes[ones] - self._sizes[others]
        apart = self._last[ones] < self._first[others]
        kept = np.flatnonzero(((halves == 0) | (halves == 1)) & apart)
        size = self._sizes[ones[kept]] + self._sizes[others[kept]]
        kept = kept[size > 1][np.argsort(size[size > 1], kind="stable")]
        for k in kept[: 2 * MOST].tolist():
            found.setdefault((*self._members(int(ones[k])), *self._members(int(others[k]))))
        return list(found)[:MOST], len(found) > MOST

    def _members(self, place: int) -> tuple[int, ...]:
        at = int(self._where[place])
        size = int(np.searchsorted(self._ends, at, side="right")) - 1
        return tuple(self._parts[size][at - self._ends[size]].tolist())
