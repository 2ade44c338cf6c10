"""The stages `exact` and `tolerance` of keys that somebody named: columns that join two datasets.

Keys are tried in their order. A record without a value in one of a key's columns has no key. Where
both datasets have amounts, a key joins records of equal amounts; where several records share a
key, those of one amount are joined in the order of their days if both sides have as many of them,
and are left to later stages otherwise. What is then left joins within the tolerance, if the key
is that of one open record on each side.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from muniment.reconcile.columns import Dataset
from muniment.reconcile.matching.given import RowPair
from muniment.reconcile.matching.match import FieldEvidence, Match, MatchStatus, day_shown
from muniment.reconcile.rules import Key, Rules, Tolerance

EXACT: Final = "exact"
TOLERANCE: Final = "tolerance"
_SURE: Final = {EXACT: 0.999, TOLERANCE: 0.99}
"""Somebody said that the key joins; what is left is that the data break the rule: one key typed
wrong in a thousand, one amount in a hundred that is near by chance."""
_BITS: Final = {EXACT: 10.0, TOLERANCE: 6.6}
"""The same as odds against even ones, in bits."""
_IGNORED = re.compile(r"[\s\-_/.,#]+")

KeyValue = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keyed:
    """What of both datasets goes with the keys; every list is by 0-based position."""

    left: Dataset
    right: Dataset
    amount_names: tuple[str, str] | None = None
    amounts: tuple[Sequence[int], Sequence[int]] | None = None
    """In units of 10 ** -scale; 0 where missing."""
    scale: int = 0
    day_names: tuple[str, str] | None = None
    days: tuple[Sequence[float], Sequence[float]] | None = None
    """Since 1970; not-a-number where missing."""
    taken: tuple[Collection[int], Collection[int]] = ((), ())
    """1-based rows that are settled already."""
    rejected: Collection[RowPair] = field(default_factory=frozenset)


def keyed_matches(keyed: Keyed, rules: Rules) -> list[Match]:
    """Return the matches of the keys of the rules, each record in at most one.

    Raises:
        KeyError: a key names a column that its dataset does not have.
    """
    found: list[Match] = []
    taken_left, taken_right = set(keyed.taken[0]), set(keyed.taken[1])
    for stage, wanted, pick in (
        (EXACT, rules.stages.exact, _exact),
        (TOLERANCE, rules.stages.tolerance and rules.tolerance is not None, _tolerant),
    ):
        for key in rules.keys if wanted else ():
            ours = _by_key(keyed.left, key.left, taken_left)
            theirs = _by_key(keyed.right, key.right, taken_right)
            for value, lefts in ours.items():
                rights = theirs.get(value, [])
                for i, j in pick(keyed, rules.tolerance or Tolerance(), lefts, rights):
                    if (i + 1, j + 1) not in keyed.rejected:
                        found.append(_match(keyed, key, i, j, stage))
                        taken_left.add(i + 1)
                        taken_right.add(j + 1)
    return found


def _by_key(
    dataset: Dataset, columns: Sequence[str], taken: Collection[int]
) -> dict[KeyValue, list[int]]:
    """Return the open positions by their key, as far as they have one."""
    for name in columns:
        dataset[name]  # a KeyError names the column
    values = [dataset.values(name).to_pylist() for name in columns]
    found: dict[KeyValue, list[int]] = defaultdict(list)
    for position, cells in enumerate(zip(*values, strict=True)):
        if position + 1 not in taken and all(cell is not None for cell in cells):
            key = tuple(_plain(cell) for cell in cells)
            if all(key):
                found[key].append(position)
    return found


def _plain(cell: object) -> str:
    """Return a value without case and separators: `INV-12` and `inv 12` are one key."""
    if isinstance(cell, Decimal):
        cell = cell.normalize()
    elif isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return _IGNORED.sub("", str(cell).casefold())


def _exact(
    keyed: Keyed, _tolerance: Tolerance, lefts: Sequence[int], rights: Sequence[int]
) -> list[tuple[int, int]]:
    if keyed.amounts is None:
        return [(lefts[0], rights[0])] if len(lefts) == len(rights) == 1 else []
    ours, theirs = keyed.amounts
    by_amount: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for i in lefts:
        by_amount[ours[i]][0].append(i)
    for j in rights:
        by_amount[theirs[j]][1].append(j)
    found: list[tuple[int, int]] = []
    for amount, (mine, other) in by_amount.items():
        if amount and len(mine) == len(other):
            found.extend(zip(_dated(keyed, 0, mine), _dated(keyed, 1, other), strict=True))
    return found


def _dated(keyed: Keyed, side: int, positions: list[int]) -> list[int]:
    """Return positions in the order of their days, then of their rows."""
    if keyed.days is None:
        return positions
    days = keyed.days[side]
    return sorted(positions, key=lambda k: (math.inf if math.isnan(days[k]) else days[k], k))


def _tolerant(
    keyed: Keyed, tolerance: Tolerance, lefts: Sequence[int], rights: Sequence[int]
) -> list[tuple[int, int]]:
    if len(lefts) != 1 or len(rights) != 1:
        return []
    i, j = lefts[0], rights[0]
    if keyed.amounts is not None:
        one, other = keyed.amounts[0][i], keyed.amounts[1][j]
        if not amounts_near(one, other, tolerance, keyed.scale):
            return []
    if keyed.days is not None:
        apart = keyed.days[0][i] - keyed.days[1][j]
        if not math.isnan(apart) and abs(apart) > tolerance.days:
            return []
    return [(i, j)]


def amounts_near(one: int, other: int, tolerance: Tolerance, scale: int) -> bool:
    """Whether two amounts in units of 10 ** -scale, of one sign, are within the tolerance."""
    units = tolerance.amount.scaleb(scale)
    percent = Decimal(tolerance.percent) / 100 * max(abs(one), abs(other))
    return one * other > 0 and abs(one - other) <= max(units, percent)


def _match(keyed: Keyed, key: Key, i: int, j: int, stage: str) -> Match:
    fields = [
        FieldEvidence(
            ours, theirs, str(keyed.left.original(ours, i + 1) or ""),
            str(keyed.right.original(theirs, j + 1) or ""), 1.0, _BITS[stage] / len(key.left),
        )
        for ours, theirs in zip(key.left, key.right, strict=True)
    ]  # fmt: skip
    amount = None
    if keyed.amounts is not None and keyed.amount_names is not None:
        one, other = keyed.amounts[0][i], keyed.amounts[1][j]
        amount = Decimal(min(one, other, key=abs)).scaleb(-keyed.scale)
        share = min(abs(one), abs(other)) / max(abs(one), abs(other), 1)
        fields.append(
            FieldEvidence(
                *keyed.amount_names, str(Decimal(one).scaleb(-keyed.scale)),
                str(Decimal(other).scaleb(-keyed.scale)), share, 0.0,
            )
        )  # fmt: skip
    if keyed.days is not None and keyed.day_names is not None:
        ours_day, theirs_day = keyed.days[0][i], keyed.days[1][j]
        if not math.isnan(ours_day - theirs_day):
            near = 1.0 / (1.0 + abs(ours_day - theirs_day))
            fields.append(
                FieldEvidence(
                    *keyed.day_names, day_shown(ours_day), day_shown(theirs_day), near, 0.0
                )
            )
    return Match(i + 1, j + 1, _SURE[stage], MatchStatus.MATCHED, stage, amount, fields)
