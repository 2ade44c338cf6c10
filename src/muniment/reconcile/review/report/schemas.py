"""The report of a reconciliation as clients see it."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from msgspec import Meta, Struct

from muniment.reconcile.review.schemas import Side

Money = Annotated[str, Meta(description="A decimal number.", examples=["1204.50"])]


class StatusCounts(Struct, frozen=True):
    """Matches by status."""

    matched: int = 0
    review: int = 0
    accepted: int = 0
    rejected: int = 0
    unmatched: int = 0


class StageCounts(StatusCounts, frozen=True, kw_only=True):
    """Matches of one stage by status."""

    stage: str


class RecordCounts(Struct, frozen=True):
    """What became of the records of a side; each is counted once."""

    side: Side
    total: int
    matched: Annotated[int, Meta(description="In a match that holds.")]
    review: Annotated[int, Meta(description="In one match that waits for review.")]
    ambiguous: Annotated[int, Meta(description="In several matches that wait for review.")]
    offset: Annotated[
        int, Meta(description="Cancelled by another entry of its dataset, as the last run found.")
    ]
    unmatched: int
    match_rate: Annotated[float | None, Meta(description="Matched by total; null of none.")]


class SideSums(Struct, frozen=True):
    """Sums of the records of a side in one currency."""

    total: Money
    matched: Money
    open: Annotated[Money, Meta(description="Of the records in no match that holds.")]


class CurrencySums(Struct, frozen=True):
    """Sums in one currency."""

    currency: Annotated[str | None, Meta(description="Null: records that name none.")]
    left: SideSums
    right: SideSums
    applied: Annotated[Money, Meta(description="Applied to each other by the matches that hold.")]
    difference: Annotated[Money, Meta(description="Total of the left less that of the right.")]
    open_difference: Annotated[Money, Meta(description="The same of what is open.")]


class CurrencyAmount(Struct, frozen=True):
    """A sum in one currency."""

    currency: str | None
    amount: Money


class Age(Struct, frozen=True):
    """Records without a match that holds, by the days since their date."""

    days: Annotated[
        str, Meta(description="0-30 (or after the day), 31-60, 61-90, over-90 or undated.")
    ]
    records: int
    amounts: list[CurrencyAmount]


class Ageing(Struct, frozen=True):
    """Ages of the open records of a side."""

    side: Side
    ages: list[Age]


class Report(Struct, frozen=True):
    """What became of the records of a reconciliation."""

    matches: StatusCounts
    stages: list[StageCounts]
    records: list[RecordCounts]
    sums: Annotated[list[CurrencySums], Meta(description="Where there are amounts.")]
    as_of: Annotated[
        date | None,
        Meta(description="The day that ages are counted to: the newest date unless given."),
    ]
    ageing: list[Ageing]
