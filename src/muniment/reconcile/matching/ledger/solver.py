"""The best set of hypotheses that use no record twice: an integer programme, exactly solved.

Maximise the sum of log odds; every left record is used at most once, every right record up to
its whole amount (part payments share it). The programme falls apart into small independent
pieces; HiGHS solves each. A piece too large, or out of time, is settled greedily, and counted.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, sparse

from muniment.reconcile.matching.ledger.hypotheses import Hypothesis

LARGEST_PIECE = 4_000
_SECONDS_A_PIECE = 5.0
_MOST_OF_IT = 0.5001
"""Share of a record of which two have no room."""


@dataclass(slots=True)
class Solution:
    """Chosen hypotheses, and how many pieces were settled greedily."""

    chosen: list[Hypothesis]
    pieces: int = 0
    greedy_pieces: int = 0


Resource = tuple[str, int]


def uses(hypothesis: Hypothesis, right: Sequence[int]) -> dict[Resource, float]:
    """Return how much of which record a hypothesis uses up."""
    used: dict[Resource, float] = {("left", i): 1.0 for i in hypothesis.lefts}
    used.update({("right", j): share for j, share in hypothesis.takes(right).items()})
    return used


def greedy(hypotheses: list[Hypothesis], right: Sequence[int]) -> list[Hypothesis]:
    """Return the best hypothesis, then the best that goes with it, and so on."""
    used: dict[Resource, float] = defaultdict(float)
    chosen: list[Hypothesis] = []
    for hypothesis in sorted(hypotheses, key=lambda h: -h.score):
        if hypothesis.score <= 0:
            break
        wanted = uses(hypothesis, right)
        if all(used[r] + share <= 1.0 + 1e-9 for r, share in wanted.items()):
            chosen.append(hypothesis)
            for resource, share in wanted.items():
                used[resource] += share
    return chosen


def solve(hypotheses: list[Hypothesis], right: Sequence[int], seconds: float) -> Solution:
    """Return the best compatible set of the hypotheses that are more likely than not.

    Args:
        hypotheses: rated.
        right: amounts of the right ledger.
        seconds: bound on the whole; pieces beyond it are settled greedily.
    """
    likely = [h for h in hypotheses if h.score > 0]
    solution = Solution([])
    until = time.monotonic() + seconds
    for piece in _pieces(likely, right):
        solution.pieces += 1
        if len(piece) == 1:
            solution.chosen.extend(piece)
            continue
        exact = _rivals(piece, right)
        if exact is None and len(piece) <= LARGEST_PIECE and time.monotonic() < until:
            exact = _programme(piece, right)
        if exact is None:
            solution.greedy_pieces += 1
        solution.chosen.extend(greedy(piece, right) if exact is None else exact)
    return solution


def _rivals(piece: list[Hypothesis], right: Sequence[int]) -> list[Hypothesis] | None:
    """Return the best hypothesis if all use up one record, so that only one of them can hold."""
    whole: set[Resource] | None = None
    for hypothesis in piece:
        used = {r for r, share in uses(hypothesis, right).items() if share > _MOST_OF_IT}
        whole = used if whole is None else whole & used
        if not whole:
            return None
    return [max(piece, key=lambda h: h.score)]


def _pieces(hypotheses: list[Hypothesis], right: Sequence[int]) -> list[list[Hypothesis]]:
    """Return the hypotheses in sets that share no record."""
    leader = list(range(len(hypotheses)))

    def find(k: int) -> int:
        while leader[k] != k:
            leader[k] = leader[leader[k]]
            k = leader[k]
        return k

    first: dict[Resource, int] = {}
    for k, hypothesis in enumerate(hypotheses):
        for resource in uses(hypothesis, right):
            leader[find(k)] = find(first.setdefault(resource, k))
    pieces: dict[int, list[Hypothesis]] = defaultdict(list)
    for k, hypothesis in enumerate(hypotheses):
        pieces[find(k)].append(hypothesis)
    return list(pieces.values())


def _programme(piece: list[Hypothesis], right: Sequence[int]) -> list[Hypothesis] | None:
    """Return the optimum of one piece, None if it was not found in time."""
    resources: dict[Resource, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    data: list[float] = []
    for k, hypothesis in enumerate(piece):
        for resource, share in uses(hypothesis, right).items():
            rows.append(resources.setdefault(resource, len(resources)))
            columns.append(k)
            data.append(share)
    matrix = sparse.csr_matrix((data, (rows, columns)), shape=(len(resources), len(piece)))
    answer = optimize.milp(
        c=-np.array([h.score for h in piece]),
        constraints=optimize.LinearConstraint(matrix, ub=np.full(len(resources), 1.0 + 1e-6)),
        integrality=np.ones(len(piece)),
        bounds=optimize.Bounds(0, 1),
        options={"time_limit": _SECONDS_A_PIECE},
    )
    if answer.status != 0 or answer.x is None:
        return None
    return [h for h, taken in zip(piece, answer.x, strict=True) if taken > 0.5]
