"""Which of a few amounts add up to one amount, completely within stated bounds.

The number of subsets doubles with every amount, so the bounds are part of the answer: pools of
at most `POOL` records, all subsets of up to six of them (three and three meet in the middle), and
any run of neighbouring records whatever its length (a deposit of all cheques of two days). Larger
scattered subsets are sought by integer programming with a time limit (`solver`).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from muniment.reconcile.matching.ledger.view import Ints

POOL = 24
LARGEST = 6
_HALF = 3
_MOST = 24
"""Answers returned for one target: with more ways to add up, a sum says nothing."""


def subsets(amounts: Sequence[int], target: int) -> tuple[list[tuple[int, ...]], bool]:
    """Return the subsets of two or more positions that add up to a target.

    Args:
        amounts: in the order of days; at most POOL are looked at.
        target: what they are to add up to.

    Returns:
        The subsets, smallest first, and whether there were more than are returned.
    """
    pool = np.array(amounts[:POOL], dtype=np.int64)
    padded = np.append(pool, 0)
    triples = padded[_triples(len(pool))].sum(axis=1)
    found: dict[tuple[int, ...], None] = {}
    for at in np.flatnonzero(triples == target).tolist():
        subset = _positions(len(pool), at)
        if len(subset) > 1:
            found[subset] = None
    for first, rest in _halves(triples, len(pool), target):
        found[first + rest] = None
        if len(found) > 4 * _MOST:
            break
    for run in runs(amounts, target):
        found[run] = None
    ordered = sorted(found, key=len)
    return ordered[:_MOST], len(ordered) > _MOST


@lru_cache(maxsize=POOL + 1)
def _triples(count: int) -> Ints:
    """Return all subsets of one to three of `count` positions; `count` stands for none."""
    rows = [
        subset + (count,) * (_HALF - size)
        for size in range(1, _HALF + 1)
        for subset in itertools.combinations(range(count), size)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, _HALF)


def _positions(count: int, at: int) -> tuple[int, ...]:
    return tuple(k for k in _triples(count)[at].tolist() if k < count)


def _halves(
    triples: Ints, count: int, target: int
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the pairs of three positions and one to three later ones that meet the target.

    A subset is met once: its first part has three positions, all before the others.
    """
    if count <= _HALF:
        return []
    full = np.flatnonzero(_triples(count)[:, _HALF - 1] < count)
    wanted = target - triples[full]
    order = np.argsort(triples, kind="stable")
    ordered = triples[order]
    low = np.searchsorted(ordered, wanted, side="left")
    high = np.searchsorted(ordered, wanted, side="right")
    found: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for k in np.flatnonzero(high > low).tolist():
        first = _positions(count, int(full[k]))
        for at in order[low[k] : high[k]].tolist():
            rest = _positions(count, at)
            if rest[0] > first[-1]:
                found.append((first, rest))
        if len(found) > 4 * _MOST:
            break
    return found


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
    return found[:_MOST]
