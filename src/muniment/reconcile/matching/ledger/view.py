"""A dataset as a ledger: amounts in the same minor units, days, words and codes of each record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.matching.ledger.references import Reference, references_of
from muniment.reconcile.matching.ledger.signs import (
    Amounts,
    Ints,
    amount_columns,
    amounts_of,
    common_scale,
)
from muniment.reconcile.matching.party_names import words
from muniment.reconcile.rules import ComparedColumns

Floats = npt.NDArray[np.float64]
_TEXT_ROLES = (
    Role.name, Role.free_text, Role.reference, Role.address, Role.email, Role.category,
)  # fmt: skip
"""Categories too: of a dozen parties, each name is one of few values."""
_WRITTEN = (ColumnType.text, ColumnType.integer)
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
    """What is still open: less than was booked where a part is settled already."""
    booked: Ints
    present: npt.NDArray[np.bool_]
    """Has an amount, of which something is open."""
    days: dict[str, Floats]
    """Days since 1970 by column; not-a-number where missing."""
    texts: list[TextColumn]
    codes: list[list[Reference]]
    """What else may call this record: its identifier and references."""
    mentions: list[list[Reference]]
    """Codes found in its texts."""
    currency: list[str | None]
    code_columns: dict[str, list[str]] = field(default_factory=dict)
    """Values of the columns that codes were read from, for explanations."""

    def __len__(self) -> int:
        return len(self.rows)

    def text(self, position: int) -> tuple[str, ...]:
        """Return all words of a record."""
        return tuple(word for column in self.texts for word in column.words[position])


@dataclass(frozen=True, slots=True)
class Wanted:
    """Columns that somebody wants compared, or that an earlier run compared."""

    amounts: tuple[str, str] | None = None
    dates: tuple[str, str] | None = None
    names: tuple[tuple[str, str], ...] | None = None
    """None: what is alike; empty: none."""
    left: frozenset[str] | None = None
    """Columns of the left dataset that may be read; None: all."""
    right: frozenset[str] | None = None

    @classmethod
    def of(cls, left: Dataset, right: Dataset, compare: Sequence[ComparedColumns] | None) -> Wanted:
        """Sort the pairs of the rules by what they are compared as."""
        if compare is None:
            return cls()
        roles = {(p.left, p.right): p.role or _role(left, right, p) for p in compare}
        amounts = [pair for pair, role in roles.items() if role is Role.amount]
        dates = [pair for pair, role in roles.items() if role is Role.date]
        texts = [p for p, r in roles.items() if r in _TEXT_ROLES and r is not Role.reference]
        return cls(
            amounts[0] if amounts else None,
            dates[0] if dates else None,
            tuple(texts),
            frozenset(p.left for p in compare),
            frozenset(p.right for p in compare),
        )

    def turned(self) -> Wanted:
        """Return the same with the sides exchanged."""
        names = None if self.names is None else tuple((b, a) for a, b in self.names)
        return Wanted(
            self.amounts and self.amounts[::-1], self.dates and self.dates[::-1], names,
            self.right, self.left,
        )  # fmt: skip


def _role(left: Dataset, right: Dataset, pair: ComparedColumns) -> Role:
    """Return what two columns are compared as: an amount or a day if either is one."""
    ours, theirs = left[pair.left].role, right[pair.right].role
    for telling in (Role.amount, Role.date, Role.name):
        if telling in (ours, theirs):
            return telling
    return ours


def has_money(dataset: Dataset) -> bool:
    """Whether the ledger stages have something to compare in this dataset."""
    return bool(amount_columns(dataset))


def ledgers(
    left: Dataset, right: Dataset, wanted: Wanted | None = None
) -> tuple[Ledger, Ledger, int]:
    """Return both sides in the same units and sign, and the decimal places of the units."""
    wanted = wanted or Wanted()
    scale = common_scale(left, right)
    one, other = amounts_of(left, right, scale, wanted.amounts)
    return _ledger(left, one, wanted.left), _ledger(right, other, wanted.right), scale


def _ledger(dataset: Dataset, amounts: Amounts, readable: frozenset[str] | None) -> Ledger:
    columns = [c for c in dataset.columns if readable is None or c.name in readable]
    texts: list[TextColumn] = []
    codes: list[list[Reference]] = [[] for _ in range(dataset.rows)]
    mentions: list[list[Reference]] = [[] for _ in range(dataset.rows)]
    code_columns: dict[str, list[str]] = {}
    for column in columns:
        if column.role not in _TEXT_ROLES and column.role not in _CODE_ROLES:
            continue
        if column.type not in _WRITTEN:
            continue
        values = ["" if v is None else str(v) for v in dataset.values(column.name).to_pylist()]
        code_columns[column.name] = values
        if column.role in _TEXT_ROLES:
            texts.append(TextColumn(column.name, column.role, values, [words(v) for v in values]))
        for position, value in enumerate(values):
            if not value:
                continue
            if column.role in _CODE_ROLES:
                codes[position].extend(references_of(value, whole=True))
            if column.role is not Role.identifier:
                mentions[position].extend(references_of(value, whole=False))
    rows = np.asarray(dataset.values("row").combine_chunks(), dtype=np.int64)
    return Ledger(
        dataset, rows, amounts.name, amounts.values.copy(), amounts.values,
        amounts.present & (amounts.values != 0), _days(dataset, columns), texts, codes,
        mentions, _currencies(dataset), code_columns,
    )  # fmt: skip


def _days(dataset: Dataset, columns: Sequence[Column]) -> dict[str, Floats]:
    days: dict[str, Floats] = {}
    for column in columns:
        if column.role is Role.date and column.type is ColumnType.date:
            values = dataset.values(column.name).combine_chunks().cast("int32")
            numbers = np.asarray(values.fill_null(0), dtype=np.float64)
            numbers[~np.asarray(values.is_valid())] = np.nan
            days[column.name] = numbers
    return days


def _currencies(dataset: Dataset) -> list[str | None]:
    """Return the currency of each record, None where nothing says."""
    columns = dataset.of_role(Role.currency)
    if columns:
        values = dataset.values(columns[0].name).to_pylist()
        return [None if v is None else str(v).strip().upper() for v in values]
    known = {c.currency for c in amount_columns(dataset) if c.currency}
    return [known.pop() if len(known) == 1 else None] * dataset.rows
