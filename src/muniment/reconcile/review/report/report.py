"""Make the report from what one aggregate statement counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from muniment.db import UnitOfWork, load_statements
from muniment.reconcile.exports.cells import plain
from muniment.reconcile.review.matches import reconciliation_in_view
from muniment.reconcile.review.report.schemas import (
    Age,
    Ageing,
    CurrencyAmount,
    CurrencySums,
    RecordCounts,
    Report,
    SideSums,
    StageCounts,
    StatusCounts,
)
from muniment.reconcile.review.schemas import Side

_statements = load_statements("muniment.reconcile.review.report")

_HOLDING = ("matched", "accepted")
_STATES = ("matched", "review", "ambiguous", "offset", "unmatched")
_AGES = ("0-30", "31-60", "61-90", "over-90", None)
_NOTHING = Decimal(0)

Row = Mapping[str, Any]


async def make_report(work: UnitOfWork, reconciliation_id: UUID, as_of: date | None) -> Report:
    """Return the report, in two statements; one of them counts.

    Raises:
        ReconciliationNotFound: the organization (or the caller's workspace) has none such.
    """
    await reconciliation_in_view(work, reconciliation_id)
    rows = await _statements.report(work, reconciliation_id=reconciliation_id, as_of=as_of)
    return report_of(rows)


def report_of(rows: Sequence[Row]) -> Report:
    """Put the counted groups together."""
    records = [row for row in rows if row["of"] == "records"]
    matches = [row for row in rows if row["of"] == "matches"]
    (day,) = (row["as_of"] for row in rows if row["of"] == "day")
    sides = [side for side in Side if any(row["side"] == side for row in records)]
    return Report(
        StatusCounts(**_by(matches, "state")),
        _stages(matches),
        [_counts(side, records) for side in sides],
        _sums(records, matches),
        day,
        [_ageing(side, records) for side in sides],
    )


def _by(rows: Sequence[Row], column: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row[column]] += row["found"]
    return dict(counts)


def _stages(matches: Sequence[Row]) -> list[StageCounts]:
    found = _by(matches, "stage")
    return [
        StageCounts(stage=stage, **_by([m for m in matches if m["stage"] == stage], "state"))
        for stage in sorted(found, key=lambda stage: (-found[stage], stage))
    ]


def _counts(side: Side, records: Sequence[Row]) -> RecordCounts:
    found = _by([row for row in records if row["side"] == side], "state")
    total = sum(found.values())
    matched = found.get("matched", 0)
    return RecordCounts(
        side=side,
        total=total,
        match_rate=matched / total if total else None,
        **{state: found.get(state, 0) for state in _STATES},
    )


def _sums(records: Sequence[Row], matches: Sequence[Row]) -> list[CurrencySums]:
    with_amounts = [row for row in (*records, *matches) if row["amount"] is not None]
    currencies = {row["currency"] for row in with_amounts}
    found = []
    for currency in sorted(currencies, key=_none_last):
        of = [row for row in with_amounts if row["currency"] == currency]
        left, right = (_side([row for row in of if row["side"] == side]) for side in Side)
        applied = _sum(row for row in of if row["of"] == "matches" and row["state"] in _HOLDING)
        found.append(
            CurrencySums(
                currency,
                left.shown,
                right.shown,
                plain(applied),
                plain(left.total - right.total),
                plain(left.opened - right.opened),
            )
        )
    return found


class _Side(NamedTuple):
    total: Decimal
    matched: Decimal

    @property
    def opened(self) -> Decimal:
        return self.total - self.matched

    @property
    def shown(self) -> SideSums:
        return SideSums(plain(self.total), plain(self.matched), plain(self.opened))


def _side(rows: Sequence[Row]) -> _Side:
    return _Side(_sum(rows), _sum(row for row in rows if row["state"] == "matched"))


def _none_last(name: str | None) -> tuple[bool, str]:
    return name is None, name or ""


def _ageing(side: Side, records: Sequence[Row]) -> Ageing:
    mine = [row for row in records if row["side"] == side and row["state"] != "matched"]
    ages = []
    for age in _AGES:
        of_age = [row for row in mine if row["age"] == age]
        with_amounts = [row for row in of_age if row["amount"] is not None]
        currencies = {row["currency"] for row in with_amounts}
        amounts = [
            CurrencyAmount(
                currency, plain(_sum(row for row in with_amounts if row["currency"] == currency))
            )
            for currency in sorted(currencies, key=_none_last)
        ]
        ages.append(Age(age or "undated", sum(row["found"] for row in of_age), amounts))
    return Ageing(side, ages)


def _sum(rows: Iterable[Row]) -> Decimal:
    return sum((row["amount"] for row in rows), _NOTHING)
