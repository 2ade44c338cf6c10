"""What is settled before anything is weighed: decisions, earlier matches, records with equal keys.

A settled pair uses up as much of its two records as it applies; what is left of them stays open
for others. A remainder as small as a fee is no open amount: whoever accepts 985 for 1,000 says
that the rest is settled too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from muniment.reconcile.matching.given import RowPair
from muniment.reconcile.matching.ledger.amounts import NEAR
from muniment.reconcile.matching.ledger.view import Ledger
from muniment.reconcile.matching.match import FieldEvidence

DECISION = "decision"


class Settled(NamedTuple):
    """A pair that a run does not decide anew; positions are 0-based."""

    i: int
    j: int
    confidence: float
    stage: str
    explanation: list[FieldEvidence] | None = None
    """None: to be explained by the ledgers' model."""


@dataclass(slots=True)
class Fixed:
    """Pairs that are settled, pairs that must not be, and the amounts applied."""

    pairs: list[Settled] = field(default_factory=list)
    applied: dict[tuple[int, int], int] = field(default_factory=dict)
    forbidden: frozenset[tuple[int, int]] = frozenset()

    def turned(self) -> Fixed:
        """Return the same with the sides exchanged."""
        return Fixed(
            [p._replace(i=p.j, j=p.i) for p in self.pairs],
            {(j, i): amount for (i, j), amount in self.applied.items()},
            frozenset((j, i) for i, j in self.forbidden),
        )


def positions(
    pairs: Iterable[RowPair], left: Ledger, right: Ledger
) -> dict[RowPair, tuple[int, int]]:
    """Return by pair of 1-based rows its positions; pairs of rows that are no more are left out."""
    ours = {row: at for at, row in enumerate(left.rows.tolist())}
    theirs = {row: at for at, row in enumerate(right.rows.tolist())}
    return {(a, b): (ours[a], theirs[b]) for a, b in pairs if a in ours and b in theirs}


def settle(
    pairs: Sequence[Settled], forbidden: Iterable[tuple[int, int]], left: Ledger, right: Ledger
) -> Fixed:
    """Apply settled pairs to the open amounts of both ledgers, which are changed.

    The first of several entries for a pair counts, so put decisions first.
    """
    refused = frozenset(forbidden)
    unique: dict[tuple[int, int], Settled] = {}
    for pair in pairs:
        if (pair.i, pair.j) not in refused:
            unique.setdefault((pair.i, pair.j), pair)
    applied: dict[tuple[int, int], int] = {}
    for members in _together(list(unique)):
        applied.update(_applied(members, left, right))
    for ledger, side in ((left, 0), (right, 1)):
        used: dict[int, int] = defaultdict(int)
        for pair_, amount in applied.items():
            used[pair_[side]] += amount
        for at, amount in used.items():
            booked = int(ledger.booked[at])
            rest = booked - amount
            if abs(rest) <= NEAR * abs(booked) or rest * booked < 0:
                rest = 0
            ledger.amounts[at] = rest
            ledger.present[at] = rest != 0
    return Fixed(list(unique.values()), applied, refused)


def _together(pairs: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Return the pairs in sets that share no record."""
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for i, j in pairs:
        ours = found.get((0, i), [])
        theirs = found.get((1, j), [])
        merged = [*ours, *(theirs if theirs is not ours else []), (i, j)]
        for a, b in merged:
            found[0, a] = found[1, b] = merged
    return list({id(members): members for members in found.values()}.values())


def _applied(
    members: Sequence[tuple[int, int]], left: Ledger, right: Ledger
) -> dict[tuple[int, int], int]:
    """Return how much each pair of one set applies.

    One record with several that add up to it takes each of them whole. Otherwise amounts of the
    opposite sign (credit notes) go first, since they leave more to apply, then those of earlier
    rows.
    """
    lefts, rights = {i for i, _ in members}, {j for _, j in members}
    ours = {i: int(left.booked[i]) for i in lefts}
    theirs = {j: int(right.booked[j]) for j in rights}
    if len(lefts) == 1 or len(rights) == 1:
        many, one = (theirs, ours) if len(lefts) == 1 else (ours, theirs)
        if len(members) > 1 and sum(many.values()) == sum(one.values()):
            return {(i, j): theirs[j] if len(lefts) == 1 else ours[i] for i, j in members}
    found: dict[tuple[int, int], int] = {}
    opposite = [p for p in members if ours[p[0]] * theirs[p[1]] < 0]
    for i, j in opposite:
        one_alone = len(lefts) == 1
        found[i, j] = theirs[j] if one_alone else ours[i]
        ours[i], theirs[j] = (ours[i] - theirs[j], 0) if one_alone else (0, theirs[j] - ours[i])
    for i, j in sorted(set(members) - set(opposite)):
        amount = min(ours[i], theirs[j], key=abs) if ours[i] * theirs[j] > 0 else 0
        found[i, j] = amount
        ours[i] -= amount
        theirs[j] -= amount
    return found
