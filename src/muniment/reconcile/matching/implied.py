"""Pairs of one cluster that were not compared themselves: they are the same all the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final

from muniment.reconcile.matching.match import FieldEvidence, Match, MatchStatus

STAGE: Final = "cluster"
"""Of pairs that follow from others: equal copies are compared with their first only, and not every
two records of a cluster were candidates of each other."""

LARGEST: Final = 100
"""Records of a cluster all pairs of which are listed: their number grows with the square."""

_SUREST: Final = 1 - 2**-40


class Completed:
    """Matches, and then the pairs of each cluster that are not among them; walked any time.

    Such a pair is as sure as that both records belong to the cluster, each by its surest pair.
    """

    def __init__(self, matches: Iterable[Match], clusters: Mapping[int, int]) -> None:
        """Take matches that can be walked any time, and the cluster of each row that has one."""
        self._matches, self._clusters = matches, clusters

    def __iter__(self) -> Iterator[Match]:
        """Yield the surest first; those that follow from others at the end."""
        clusters = self._clusters
        surest: dict[int, float] = {}
        listed: set[tuple[int, int]] = set()
        for match in self._matches:
            yield match
            pair = (match.left_row, match.right_row)
            cluster = clusters.get(pair[0])
            if cluster is None or cluster != clusters.get(pair[1]):
                continue
            listed.add(pair)
            for row in pair:
                surest[row] = max(surest.get(row, 0.0), match.confidence)
        members: dict[int, list[int]] = {}
        for row, cluster in clusters.items():
            members.setdefault(cluster, []).append(row)
        for cluster, rows in members.items():
            # Two of a cluster are joined by their own pair.
            if not 2 < len(rows) <= LARGEST:
                continue
            for one, other in combinations(sorted(rows), 2):
                if (one, other) not in listed:
                    sure = surest.get(one, 0.0) * surest.get(other, 0.0)
                    yield _implied(one, other, cluster, sure)


def _implied(one: int, other: int, cluster: int, sure: float) -> Match:
    bounded = min(max(sure, 1 - _SUREST), _SUREST)
    why = FieldEvidence(
        "cluster",
        "cluster",
        f"row {cluster}",
        f"row {cluster}",
        1.0,
        math.log2(bounded / (1 - bounded)),
    )
    return Match(one, other, sure, MatchStatus.MATCHED, STAGE, explanation=[why])
