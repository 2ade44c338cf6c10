"""Which amounts of two ledgers are compared, and with which signs.

A book writes money that goes in and out as one signed column, as two columns of which one is
filled (debit and credit), or as one unsigned column beside one that says which way (DR, CR). The
two books may also have opposite signs: what a bank calls a debit its customer's ledger credits.
Every reading of each side is tried with every one of the other, and the one by which most amounts
meet is taken; of equally good ones the first: signed before unsigned, then the source's order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.matching.party_names import words

Ints = npt.NDArray[np.int64]

_BOTH_FILLED: Final = 0.01
"""Share of records in which debit and credit may both stand: totals, slips of the pen."""
_COVERED: Final = 0.9
"""Share of records that have one of the two, or the two columns are no pair."""
_UNSIGNED: Final = 0.1
"""Share of meeting amounts more that have to meet when signs are dropped: money in and out of the
same amount would be confused."""
_CLOSE: Final = 0.8
"""Share of the meeting amounts that have to meet turned, for the sign to be in doubt."""
_SAMPLE: Final = 500
"""Records whose words are looked at where it is."""
_WAYS: Final = frozenset(
    [
        "d", "c", "dr", "cr", "db", "debit", "credit", "deb", "cred", "debet", "kredit", "debito",
        "credito", "débit", "crédit", "soll", "haben", "s", "h", "in", "out", "deposit",
        "withdrawal", "paid", "received", "payment", "receipt", "+", "-", "af", "bij",
    ]
)  # fmt: skip
"""How books write which way money goes. Other columns of two values have to prove it."""


@dataclass(slots=True)
class Amounts:
    """One way to read the amounts of a dataset."""

    name: str
    """The column, or how it was made: ``credit - debit``, ``amount by type``."""
    values: Ints
    """In minor units; 0 where missing."""
    present: npt.NDArray[np.bool_]
    unsigned: bool = False


def amount_columns(dataset: Dataset) -> list[Column]:
    """Return the columns that hold money."""
    found = list(dataset.of_role(Role.amount))
    return [c for c in found if c.type in (ColumnType.decimal, ColumnType.integer)]


def common_scale(left: Dataset, right: Dataset) -> int:
    """Return the decimal places that hold the amounts of both exactly."""
    columns = amount_columns(left) + amount_columns(right)
    return max((c.scale for c in columns), default=0)


def amounts_of(
    left: Dataset, right: Dataset, scale: int, wanted: tuple[str, str] | None = None
) -> tuple[Amounts, Amounts]:
    """Return the readings of both sides by which most amounts meet, in one sign.

    Args:
        left: has an amount column.
        right: has one too; its signs are the ones that may be turned.
        scale: decimal places of the units.
        wanted: the amount columns to compare, or readings by the names they were given before.
    """
    ours, theirs = _readings(left, scale), _readings(right, scale)
    if wanted is not None:
        ours = _named(ours, wanted[0]) or ours
        theirs = _named(theirs, wanted[1]) or theirs
    best: tuple[float, int, Amounts, Amounts] | None = None
    for one in ours:
        counts = Counter(one.values[one.present & (one.values != 0)].tolist())
        for other in theirs:
            yours = other.values[other.present & (other.values != 0)]
            for sign in (1, -1):
                met = _met(counts, Counter((sign * yours).tolist()))
                worth = met * (1 - _UNSIGNED * (one.unsigned + other.unsigned))
                if best is None or worth > best[0]:
                    best = (worth, sign, one, other)
    assert best is not None, "there must be an amount on both sides: ask has_money() first"
    _, sign, one, other = best
    if _turned_by_chance(left, right, one, (other, sign)):
        sign = -sign
    return one, Amounts(other.name, sign * other.values, other.present, other.unsigned)


def _turned_by_chance(
    left: Dataset, right: Dataset, one: Amounts, chosen: tuple[Amounts, int]
) -> bool:
    """Whether the sign was chosen by chance: where few amounts are different, as many meet turned.

    Then the words of the records tell: of records with equal amounts those that belong together
    share words that others do not have.
    """
    other, sign = chosen
    counts = Counter(one.values[one.present & (one.values != 0)].tolist())
    yours = other.values[other.present & (other.values != 0)]
    as_is, turned = (_met(counts, Counter((s * yours).tolist())) for s in (sign, -sign))
    if turned < _CLOSE * as_is:
        return False
    ours, theirs = _words_of(left), _words_of(right)
    seen = Counter(word for texts in (ours, theirs) for words_ in texts for word in words_)
    shared = [_shared(one.values, s * other.values, (ours, theirs), seen) for s in (sign, -sign)]
    return shared[1] > shared[0]


def _words_of(dataset: Dataset) -> list[frozenset[str]]:
    """Return the words of each record, of all columns that are written."""
    found: list[set[str]] = [set() for _ in range(dataset.rows)]
    for column in dataset.columns:
        if column.type is ColumnType.text and column.role is not Role.identifier:
            for position, value in enumerate(dataset.values(column.name).to_pylist()):
                found[position].update(words(value or ""))
    return [frozenset(texts) for texts in found]


def _shared(
    ours: Ints,
    theirs: Ints,
    texts: tuple[list[frozenset[str]], list[frozenset[str]]],
    seen: Counter[str],
) -> float:
    """Return how much records share with the likest one of the same amount, all together."""
    at: dict[int, list[int]] = defaultdict(list)
    for j, amount in enumerate(theirs.tolist()):
        at[amount].append(j)
    total = 0.0
    for i, amount in enumerate(ours[:_SAMPLE].tolist()):
        near = at.get(amount, [])[:_SAMPLE] if amount else []
        likeness = [sum(1.0 / seen[w] for w in texts[0][i] & texts[1][j]) for j in near]
        total += max(likeness, default=0.0)
    return total


def _named(readings: list[Amounts], name: str) -> list[Amounts]:
    """Return the reading of that name, or those made from the column of that name."""
    same = [r for r in readings if r.name == name]
    return same or [r for r in readings if r.name.startswith(f"{name} by ")]


def _met(one: Counter[int], other: Counter[int]) -> int:
    """Return how many values of one side have a partner of the same value on the other."""
    few, many = (one, other) if len(one) < len(other) else (other, one)
    return sum(min(n, many.get(v, 0)) for v, n in few.items())


def _readings(dataset: Dataset, scale: int) -> list[Amounts]:
    """Return the ways to read the amounts of a dataset, the likelier ones first."""
    plain: list[Amounts] = []
    for column in amount_columns(dataset):
        values = dataset.minor_units(column.name, scale).combine_chunks()
        present = np.asarray(values.is_valid())
        filled = np.asarray(values.fill_null(0), dtype=np.int64)
        plain.append(Amounts(column.name, filled, present))
    sure, unsure = _by_way(dataset, plain)
    dropped = [
        Amounts(f"{a.name} without sign", np.abs(a.values), a.present, unsigned=True)
        for a in plain
        if (a.values < 0).any() and (a.values > 0).any()
    ]
    return [*_netted(plain, dataset.rows), *sure, *plain, *unsure, *dropped]


def _netted(plain: list[Amounts], rows: int) -> list[Amounts]:
    """Return the net of every two columns of which one is filled."""
    found: list[Amounts] = []
    for i, one in enumerate(plain):
        for other in plain[i + 1 :]:
            used_one, used_other = one.values != 0, other.values != 0
            both, either = (used_one & used_other).sum(), (used_one | used_other).sum()
            if not used_one.any() or not used_other.any():
                continue
            if both <= _BOTH_FILLED * rows and either >= _COVERED * rows:
                net = np.abs(one.values) - np.abs(other.values)
                name = f"{one.name} - {other.name}"
                found.append(Amounts(name, net, one.present | other.present))
    return found


def _by_way(dataset: Dataset, plain: list[Amounts]) -> tuple[list[Amounts], list[Amounts]]:
    """Return amounts signed by a column of two values: those that say so, and those that may."""
    sure: list[Amounts] = []
    unsure: list[Amounts] = []
    unsigned = [a for a in plain if not (a.values < 0).any()]
    if not unsigned:
        return sure, unsure
    for column in dataset.columns:
        if column.type not in (ColumnType.text, ColumnType.boolean) or column.distinct > 3:
            continue
        values = dataset.values(column.name).cast(pa.string()).to_pylist()
        counts = Counter(v.casefold().strip(" .") for v in values if v)
        if len(counts) != 2:
            continue
        one, _ = sorted(counts)
        signs = np.array([-1 if (v or "").casefold().strip(" .") == one else 1 for v in values])
        place = sure if counts.keys() <= _WAYS else unsure
        place.extend(Amounts(f"{a.name} by {column.name}", signs * a.values, a.present)
                     for a in unsigned)  # fmt: skip
    return sure, unsure
