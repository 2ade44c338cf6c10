"""Pairs joined to clusters: each the records of one thing."""

from __future__ import annotations

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
"""Log odds (base 2) held against joining two records that were not even candidates of each
other: one to eight."""

_LISTED: Final = 30
"""Records of a cluster up to which each of its pairs is listed, compared beforehand or not."""


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
    """Return the pairs within clusters that are not among (i, j), the smaller record first.

    Of clusters larger than `_LISTED` none: their pairs grow with the square.
    """
    size = len(cluster)
    counts = np.bincount(cluster, minlength=size)[cluster]
    members = np.flatnonzero((counts > 2) & (counts <= _LISTED))
    if not len(members):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    members = members[np.argsort(cluster[members], kind="stable")]
    starts = np.flatnonzero(np.r_[True, np.diff(cluster[members]) > 0])
    sizes = np.diff(np.r_[starts, len(members)])
    # Each member with those after it in its cluster.
    place = np.arange(len(members)) - np.repeat(starts, sizes)
    after = np.repeat(sizes, sizes) - place - 1
    first = np.repeat(np.arange(len(members)), after)
    step = np.arange(len(first)) - np.repeat(np.cumsum(after) - after, after)
    a, b = members[first], members[first + 1 + step]
    known = np.isin(a * size + b, i * size + j)
    return a[~known], b[~known]


def _split(judged: Judged, places: Rows, strong: Flags, names: Rows) -> None:
    """Divide one tangle of pairs into clusters and write down the first record of each."""
    i, j, score = judged.i[places].tolist(), judged.j[places].tolist(), judged.score[places]
    between = dict(zip(zip(i, j, strict=True), score.tolist(), strict=True))
    apart = {(i[at], j[at]) for at in np.flatnonzero(judged.must_not[places]).tolist()}
    part = {record: [record] for record in {*i, *j}}
    first = np.where(judged.must[places], np.inf, score)
    order = np.argsort(-first, kind="stable")
    for at in order[strong[places][order]].tolist():
        one, other = part[i[at]], part[j[at]]
        if one is other or _kept_apart(apart, one, other):
            continue
        if judged.must[places[at]] or _evidence(between, one, other) > 0:
            one.extend(other)
            part.update(dict.fromkeys(other, one))
    for record, members in part.items():
        names[record] = min(members)


def _evidence(between: dict[tuple[int, int], float], one: list[int], other: list[int]) -> float:
    return sum(between.get((a, b) if a < b else (b, a), _UNCOMPARED) for a in one for b in other)


def _kept_apart(apart: set[tuple[int, int]], one: list[int], other: list[int]) -> bool:
    if not apart:
        return False
    return any(((a, b) if a < b else (b, a)) in apart for a in one for b in other)
