"""Pairs joined to clusters: each the records of one thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_UNCOMPARED: Final = -3.0
"""Log odds (base 2) held against joining two records that were not compared: one to eight."""

_LISTED: Final = 30
"""Records of a cluster up to which each of its pairs is listed, compared beforehand or not."""

_DRAWN: Final = 10
"""Members of a larger tangle that each of its records is compared with, besides its candidates."""

_MOST_DRAWN: Final = 300_000
"""Pairs so drawn at most, over all tangles."""

_SEED: Final = 1
"""Of the drawing: the same pairs have the same clusters."""


@dataclass(frozen=True)
class Judged:
    """The pairs that speak for or against a cluster; arrays are by pair."""

    i: Rows
    j: Rows
    """Positions of the two records, from 0, the smaller first."""
    score: Floats
    """Base-2 log odds that they are the same."""
    good: Flags
    """Whether the pair is in the answer, if its cluster agrees."""
    must: Flags
    """Whether somebody said that they are the same; they are joined before all others."""
    must_not: Flags
    """Whether somebody said that they are not: no cluster ever holds both."""


def gather(judged: Judged, size: int) -> Rows:
    """Return for each of `size` records the first record of its cluster, itself if it is alone.

    Pairs are joined the surest first, while the evidence between all members of the two parts
    together speaks for it.
    """
    strong = judged.good | judged.must
    names = tangles(judged.i[strong], judged.j[strong], size)
    label, counts = names.copy(), np.bincount(names, minlength=size)
    inside = np.flatnonzero(label[judged.i] == label[judged.j])
    # Two records and one pair are a cluster whatever the order; the others are worked out.
    inside = inside[counts[label[judged.i[inside]]] > 2]
    if not len(inside):
        return names
    group = label[judged.i[inside]]
    order = np.argsort(group, kind="stable")
    bounds = np.flatnonzero(np.diff(group[order])) + 1
    for places in np.split(inside[order], bounds):
        _split(judged, places, strong, names)
    return names


def tangles(i: Rows, j: Rows, size: int) -> Rows:
    """Return for each record the first of all that pairs (i, j) join it with, however far."""
    graph = sparse.coo_matrix((np.ones(len(i), np.bool_), (i, j)), shape=(size, size))
    label = connected_components(graph, directed=False)[1]
    first = np.full(size, size, np.int64)
    np.minimum.at(first, label, np.arange(size))
    return np.asarray(first[label], np.int64)


def missing_pairs(cluster: Rows, i: Rows, j: Rows) -> tuple[Rows, Rows]:
    """Return pairs within clusters that are not among (i, j), the smaller record first.

    All of clusters up to `_LISTED` records, some of larger ones, whose pairs grow with the
    square: a few of each record.
    """
    size = len(cluster)
    counts = np.bincount(cluster, minlength=size)[cluster]
    all_of, some_of = _each_pair(cluster, counts), _drawn_pairs(cluster, counts)
    a, b = (np.concatenate(both) for both in zip(all_of, some_of, strict=True))
    codes = np.setdiff1d(a * size + b, i * size + j)
    return codes // size, codes % size


def _each_pair(cluster: Rows, counts: Rows) -> tuple[Rows, Rows]:
    """Return all pairs within the smaller clusters: each member with those after it."""
    members, starts, sizes = _sorted_by(cluster, np.flatnonzero((counts > 2) & (counts <= _LISTED)))
    place = np.arange(len(members)) - np.repeat(starts, sizes)
    after = np.repeat(sizes, sizes) - place - 1
    first = np.repeat(np.arange(len(members)), after)
    step = np.arange(len(first)) - np.repeat(np.cumsum(after) - after, after)
    return members[first], members[first + 1 + step]


def _drawn_pairs(cluster: Rows, counts: Rows) -> tuple[Rows, Rows]:
    """Return each member of a larger cluster with a few others, drawn at random."""
    members, starts, sizes = _sorted_by(cluster, np.flatnonzero(counts > _LISTED))
    each = min(_DRAWN, _MOST_DRAWN // max(len(members), 1))
    share = np.random.default_rng(_SEED).random((each, len(members)))
    others = np.repeat(starts, sizes) + (share * np.repeat(sizes, sizes)).astype(np.int64)
    a, b = np.tile(members, each), members[others.ravel()]
    return np.minimum(a, b)[a != b], np.maximum(a, b)[a != b]


def _sorted_by(cluster: Rows, members: Rows) -> tuple[Rows, Rows, Rows]:
    """Return members cluster by cluster, where each cluster begins, and how many it has."""
    members = members[np.argsort(cluster[members], kind="stable")]
    starts = np.flatnonzero(np.diff(cluster[members], prepend=-1))
    return members, starts, np.diff(starts, append=len(members))


def _split(judged: Judged, places: Rows, strong: Flags, names: Rows) -> None:
    """Divide one tangle of pairs into clusters and write down the first record of each."""
    i, j = judged.i[places].tolist(), judged.j[places].tolist()
    score = np.where(judged.must_not[places], -np.inf, judged.score[places])
    parts = _Parts(zip(i, j, score.tolist(), strict=True))
    first = np.where(judged.must[places], np.inf, score)
    order = np.argsort(-first, kind="stable")
    for at in order[strong[places][order]].tolist():
        parts.join(i[at], j[at], told=bool(judged.must[places[at]]))
    for members in parts.members.values():
        names[members] = min(members)


class _Parts:
    """The records of a tangle, joined step by step, and what speaks for and against joining.

    Between two parts stands the sum of the log odds of the pairs that were compared, and how many
    these are. What was not compared counts against joining, but for no more pairs than were: of
    large parts few pairs are compared.
    """

    def __init__(self, pairs: Iterable[tuple[int, int, float]]) -> None:
        self.members: dict[int, list[int]] = {}
        self._part: dict[int, int] = {}
        self._between: dict[int, dict[int, tuple[float, int]]] = {}
        for one, other, score in pairs:
            for record, another in ((one, other), (other, one)):
                self.members[record] = [record]
                self._part[record] = record
                known = self._between.setdefault(record, {})
                if record != another:  # Copies stand for each other.
                    known[another] = (score, 1)

    def join(self, record: int, with_record: int, *, told: bool) -> None:
        """Join the parts of two records if the evidence is for it, or if somebody said so.

        Never where two of their records are not to be together.
        """
        one, other = self._part[record], self._part[with_record]
        if one == other:
            return
        total, compared = self._between[one].get(other, (0.0, 0))
        possible = len(self.members[one]) * len(self.members[other])
        evidence = total + _UNCOMPARED * min(possible - compared, compared)
        if evidence > 0 or (told and total > -np.inf):
            if len(self._between[one]) < len(self._between[other]):
                one, other = other, one
            self._merge(one, other)

    def _merge(self, one: int, other: int) -> None:
        """Put the second part into the first."""
        moved = self.members.pop(other)
        self.members[one].extend(moved)
        self._part.update(dict.fromkeys(moved, one))
        for third, (score, count) in self._between.pop(other).items():
            del self._between[third][other]
            if third != one:
                before, seen = self._between[one].get(third, (0.0, 0))
                found = (before + score, seen + count)
                self._between[one][third] = self._between[third][one] = found
