"""The summary of a reconciliation: what was taken for what, what was found, what is open."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct, field


class ColumnTaken(Struct, frozen=True):
    """What a column was taken for."""

    name: str
    role: str
    type: str
    certainty: float
    """0 to 1: 1 where the values alone decide the role, 0.5 where it was a guess."""
    odd: int = 0
    """Values that do not fit the column, and were taken as missing."""


class CurrencySum(Struct, frozen=True):
    """The money of one side in one currency, exact, by what became of the records."""

    currency: str | None
    """ISO 4217; None: nothing in the data says."""
    matched: Decimal
    unmatched: Decimal
    """Without review and offset where these are given, else with them."""
    settled: Decimal | None = None
    """What of `matched` is applied to records of the other side; less where parts stay open."""
    review: Decimal | None = None
    offset: Decimal | None = None
    """Of records that cancel each other."""


class SideSummary(Struct, frozen=True):
    """One dataset; counts are records."""

    name: str
    rows: int
    identifier: str | None
    """Column whose values name the records in the files that are written."""
    columns: list[ColumnTaken]
    notes: list[str] = field(default_factory=list)
    """What the loader decided: encoding, delimiter, rows left out."""
    matched: int = 0
    review: int = 0
    offset: int = 0
    unmatched: int = 0
    sums: list[CurrencySum] = field(default_factory=list)


class StageCount(Struct, frozen=True):
    """Pairs of records that a stage found."""

    stage: str
    matched: int
    review: int


class ComparedColumnPair(Struct, frozen=True):
    """What was compared with what."""

    left: str
    right: str
    role: str


class ShownMatch(Struct, frozen=True):
    """One match as an example."""

    left_row: int
    right_row: int
    left_id: str | None
    right_id: str | None
    confidence: float
    stage: str
    explanation: str


class WrittenFile(Struct, frozen=True):
    """A file that was written."""

    what: str
    """matches, review or unmatched"""
    path: str
    rows: int
    replaced: bool = False
    """There was a file of that name before."""


class Summary(Struct, frozen=True):
    """What a reconciliation found; pairs are counted unless it says records."""

    kind: str
    """ledger (movements of money), linkage (records of two datasets) or duplicates (of one)"""
    left: SideSummary
    right: SideSummary | None
    evidence: SideSummary | None
    matched: int
    review: int
    threshold: float
    """Confidence from which a pair is matched."""
    stages: list[StageCount]
    compared: list[ComparedColumnPair]
    clusters: int | None = None
    """Of one dataset: groups of records that are the same thing. None: not counted."""
    notes: list[str] = field(default_factory=list)
    first: list[ShownMatch] = field(default_factory=list)
    """The surest match of each stage."""
    files: list[WrittenFile] = field(default_factory=list)
    seconds: float = 0.0
    reconciliation_id: str | None = None
    """Where the work was done by a server."""
