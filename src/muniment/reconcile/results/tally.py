"""Counting what became of each record while the matches go by, and adding up its money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.columns import Dataset, Role
from muniment.reconcile.matching.ledger.signs import (
    Amounts,
    amount_columns,
    amounts_of,
    common_scale,
)
from muniment.reconcile.matching.match import Match, MatchStatus
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.results.summary import CurrencySum, StageCount

UNMATCHED: Final = 0
OFFSET: Final = 1
REVIEW: Final = 2
MATCHED: Final = 3
STATES: Final = ("unmatched", "offset", "review", "matched")
"""What may become of a record, by the numbers above; the greater one counts."""

_BILLION: Final = 10**9

States = npt.NDArray[np.int8]
Units = npt.NDArray[np.int64]


class Tally:
    """What became of the records of both sides; of one dataset both sides are the same."""

    def __init__(self, left: Dataset, right: Dataset | None, outcome: Outcome) -> None:
        """Begin with the entries that cancel each other."""
        self.left: States = np.zeros(left.rows + 1, np.int8)
        """By 1-based row; place 0 is no record."""
        self.right: States = self.left if right is None else np.zeros(right.rows + 1, np.int8)
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._applied: tuple[dict[int, Decimal], dict[int, Decimal]] = ({}, {})
        for offset in outcome.offsets:
            side = self.left if offset.side == "left" else self.right
            side[[offset.row, offset.other_row]] = OFFSET

    def counted(self, matches: Iterable[Match]) -> Iterator[Match]:
        """Yield the matches, and note their records on the way."""
        for match in matches:
            state = MATCHED if match.status is MatchStatus.MATCHED else REVIEW
            for side, row in ((self.left, match.left_row), (self.right, match.right_row)):
                side[row] = max(side[row], state)
            self._pairs[match.stage, match.status.value] += 1
            if state == MATCHED and match.amount is not None:
                for settled, row in zip(
                    self._applied, (match.left_row, match.right_row), strict=True
                ):
                    settled[row] = settled.get(row, Decimal(0)) + match.amount
            yield match

    def settled(self, side: int, rows: int, scale: int) -> Units:
        """Return by record how much of it its matches have settled, in minor units.

        Args:
            side: 0 is left, 1 is right.
            rows: of the dataset.
            scale: decimal places of the units.
        """
        units = np.zeros(rows, np.int64)
        for row, amount in self._applied[side].items():
            units[row - 1] = int(amount.scaleb(scale))
        return units

    def pairs(self, status: MatchStatus) -> int:
        """Return how many pairs have a status."""
        return sum(count for (_, of), count in self._pairs.items() if of == status.value)

    def stages(self) -> list[StageCount]:
        """Return the stages, those that found most first."""
        names = sorted({stage for stage, _ in self._pairs})
        counts = [
            StageCount(name, self._pairs[name, "matched"], self._pairs[name, "review"])
            for name in names
        ]
        return sorted(counts, key=lambda each: -(each.matched + each.review))


def counts(states: States) -> dict[str, int]:
    """Return how many records have come to each state."""
    found = np.bincount(states[1:], minlength=len(STATES)).tolist()
    return dict(zip(STATES, found, strict=True))


def sums(
    left: Dataset, right: Dataset, outcome: Outcome, tally: Tally
) -> tuple[list[CurrencySum], list[CurrencySum]]:
    """Return the money of both ledgers by currency, in one sign; empty where there is no money."""
    if outcome.kind != "ledger" or not (amount_columns(left) and amount_columns(right)):
        return [], []
    scale = common_scale(left, right)
    wanted = [(one, other) for one, other, role in outcome.compared if role == Role.amount]
    ours, theirs = amounts_of(left, right, scale, wanted[0] if wanted else None)
    return (
        _sums(
            ours,
            tally.settled(0, left.rows, scale),
            _currencies(left, ours.name),
            tally.left[1:],
            scale,
        ),
        _sums(
            theirs,
            tally.settled(1, right.rows, scale),
            _currencies(right, theirs.name),
            tally.right[1:],
            scale,
        ),
    )


def _sums(
    amounts: Amounts, settled: Units, currencies: pa.Array, states: States, scale: int
) -> list[CurrencySum]:
    found = []
    for currency in pc.unique(currencies).to_pylist():
        same = pc.is_null(currencies) if currency is None else pc.equal(currencies, currency)
        here = np.asarray(pc.fill_null(same, False)) & amounts.present
        values = [
            _exact(amounts.values[here & (states == state)], scale) for state in range(len(STATES))
        ]
        if here.any():
            found.append(
                CurrencySum(
                    currency,
                    matched=values[MATCHED],
                    settled=_exact(settled[here], scale),
                    review=values[REVIEW],
                    offset=values[OFFSET],
                    unmatched=values[UNMATCHED],
                )
            )
    return sorted(found, key=lambda each: each.currency or "")


def _exact(units: Units, scale: int) -> Decimal:
    # Amounts have up to 18 digits: a million of them are too much for 64 bits, their halves not.
    high, low = np.divmod(units, _BILLION)
    return Decimal(int(high.sum()) * _BILLION + int(low.sum())).scaleb(-scale)


def _currencies(dataset: Dataset, amount: str) -> pa.Array:
    """Return the currency of each record, null where nothing says."""
    columns = {column.name: column for column in dataset.columns}
    own = columns.get(amount)
    unit = own.unit if own else None
    if unit is None and (roles := dataset.of_role(Role.currency)):
        unit = roles[0].name
    if unit is not None:
        return pc.utf8_upper(dataset.values(unit).cast(pa.string())).combine_chunks()
    known = {column.currency for column in amount_columns(dataset) if column.currency}
    code = own.currency if own and own.currency else known.pop() if len(known) == 1 else None
    return pa.array([code] * dataset.rows, pa.string())
