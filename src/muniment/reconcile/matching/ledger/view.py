"""A dataset as a ledger: amounts in the same minor units, days, and words of each record.

Which columns are compared is settled here from roles and values alone: of several amount columns
the pair whose values meet most often; debit and credit columns are netted; a ledger kept with the
opposite sign is turned.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.matching.ledger.references import Reference, references_of
from muniment.reconcile.matching.party_names import words

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_TEXT_ROLES = (Role.name, Role.free_text, Role.reference, Role.address, Role.email)
_CODE_ROLES = (Role.identifier, Role.reference)


@dataclass(slots=True)
class TextColumn:
    """One column of words."""

    name: str
    role: Role
    values: list[str]
    words: list[tuple[str, ...]]


@dataclass(slots=True)
class Ledger:
    """One side of a comparison; lists are by 0-based position."""

    dataset: Dataset
    rows: Ints
    """1-based source rows."""
    amount_name: str
    amounts: Ints
    present: npt.NDArray[np.bool_]
    days: dict[str, Floats]
    """Days since 1970 by column; not-a-number where missing."""
    texts: list[TextColumn]
    codes: list[list[Reference]]
    """What else may call this record: its identifier and references."""
    mentions: list[list[Reference]]
    """Codes found in its texts."""
    currency: list[str | None]

    def __len__(self) -> int:
        return len(self.rows)

    def text(self, position: int) -> tuple[str, ...]:
        """Return all words of a record."""
        return tuple(word for column in self.texts for word in column.words[position])


def amount_columns(dataset: Dataset) -> list[Column]:
    """Return the columns that hold money."""
    found = list(dataset.of_role(Role.amount))
    return [c for c in found if c.type in (ColumnType.decimal, ColumnType.integer)]


def has_money(dataset: Dataset) -> bool:
    """Whether the ledger stages have something to compare in this dataset."""
    return bool(amount_columns(dataset))


@dataclass(slots=True)
class _Amounts:
    name: str
    values: Ints
    present: npt.NDArray[np.bool_]


def _candidates(dataset: Dataset, scale: int) -> list[_Amounts]:
    """Return each amount column, and the net of two that exclude each other."""
    found: list[_Amounts] = []
    for column in amount_columns(dataset):
        values = dataset.minor_units(column.name, scale).combine_chunks()
        present = np.asarray(values.is_valid())
        filled = np.asarray(values.fill_null(0), dtype=np.int64)
        found.append(_Amounts(column.name, filled, present))
    for i, one in enumerate(list(found)):
        for other in list(found)[i + 1 : len(amount_columns(dataset))]:
            used_one, used_other = one.values != 0, other.values != 0
            exclusive = not (used_one & used_other).any()
            if exclusive and used_one.any() and used_other.any():
                name = f"{one.name} - {other.name}"
                net = np.abs(one.values) - np.abs(other.values)
                found.insert(0, _Amounts(name, net, one.present | other.present))
    return found


def _met(left: Ints, right: Ints) -> int:
    """Return how many values of one side have a partner of the same value on the other."""
    theirs = Counter(right.tolist())
    return sum(min(n, theirs.get(v, 0)) for v, n in Counter(left.tolist()).items())


def common_scale(left: Dataset, right: Dataset) -> int:
    """Return the decimal places that hold the amounts of both exactly."""
    columns = amount_columns(left) + amount_columns(right)
    return max((c.scale for c in columns), default=0)


def ledgers(left: Dataset, right: Dataset) -> tuple[Ledger, Ledger, int]:
    """Return both sides in the same units and sign, and the decimal places of the units.

    Ties between amount columns go to the first of each side: the order of the source.
    """
    scale = common_scale(left, right)
    ours, theirs = _candidates(left, scale), _candidates(right, scale)
    best: tuple[int, int, _Amounts, _Amounts] | None = None
    for one in ours:
        for other in theirs:
            mine = one.values[one.present]
            yours = other.values[other.present]
            for sign in (1, -1):
                met = _met(mine, sign * yours)
                if best is None or met > best[0]:
                    best = (met, sign, one, other)
    assert best is not None, "ledgers() needs an amount on both sides: ask has_money() first"
    _, sign, one, other = best
    other = _Amounts(other.name, sign * other.values, other.present)
    return _ledger(left, one), _ledger(right, other), scale


def _ledger(dataset: Dataset, amounts: _Amounts) -> Ledger:
    table = dataset.table
    days: dict[str, Floats] = {}
    for column in dataset.of_role(Role.date):
        if column.type is ColumnType.date:
            values = table[column.name].combine_chunks().cast("int32")
            numbers = np.asarray(values.fill_null(0), dtype=np.float64)
            numbers[~np.asarray(values.is_valid())] = np.nan
            days[column.name] = numbers
    texts: list[TextColumn] = []
    codes: list[list[Reference]] = [[] for _ in range(dataset.rows)]
    mentions: list[list[Reference]] = [[] for _ in range(dataset.rows)]
    for column in dataset.columns:
        if column.role not in _TEXT_ROLES and column.role not in _CODE_ROLES:
            continue
        values = ["" if v is None else str(v) for v in table[column.name].to_pylist()]
        if column.role in _TEXT_ROLES:
            texts.append(TextColumn(column.name, column.role, values, [words(v) for v in values]))
        for position, value in enumerate(values):
            if not value:
                continue
            if column.role in _CODE_ROLES:
                codes[position].extend(references_of(value, whole=True))
            if column.role is not Role.identifier:
                mentions[position].extend(references_of(value, whole=False))
    rows = np.asarray(table["row"].combine_chunks(), dtype=np.int64)
    return Ledger(
        dataset, rows, amounts.name, amounts.values, amounts.present, days, texts, codes,
        mentions, _currencies(dataset),
    )  # fmt: skip


def _currencies(dataset: Dataset) -> list[str | None]:
    """Return the currency of each record, None where nothing says."""
    columns = dataset.of_role(Role.currency)
    if columns:
        values = dataset.table[columns[0].name].to_pylist()
        return [None if v is None else str(v).strip().upper() for v in values]
    known = {c.currency for c in amount_columns(dataset) if c.currency}
    return [known.pop() if len(known) == 1 else None] * dataset.rows
