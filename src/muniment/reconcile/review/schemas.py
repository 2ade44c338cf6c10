"""Matches, decisions and the report as clients see them."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta, Struct

from muniment.reconcile.exports.cells import plain
from muniment.reconcile.matching.match import Alternative, FieldEvidence


class Status(StrEnum):
    """What holds of a match: what a person decided, else what the last run found."""

    MATCHED = "matched"
    REVIEW = "review"
    UNMATCHED = "unmatched"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Side(StrEnum):
    """Of the records of a reconciliation."""

    LEFT = "left"
    RIGHT = "right"


class DecisionAction(StrEnum):
    """What a person does with a match."""

    ACCEPT = "accept"
    """The records belong together."""
    REJECT = "reject"
    """They do not, whatever a run finds."""
    UNMATCH = "unmatch"
    """They are taken apart, which does not say that they could not belong together."""
    RESET = "reset"
    """The run decides again."""

    @property
    def decision(self) -> str | None:
        """What is kept as the decision of the match."""
        return _DECISIONS[self]


_DECISIONS = {
    DecisionAction.ACCEPT: "accepted",
    DecisionAction.REJECT: "rejected",
    DecisionAction.UNMATCH: "unmatched",
    DecisionAction.RESET: None,
}

Probability = Annotated[float, Meta(ge=0, le=1)]
Stage = Annotated[str, Meta(min_length=1, max_length=100)]
Note = Annotated[str, Meta(max_length=2000)]


class RecordOfMatch(Struct, frozen=True):
    """One of the two records of a match."""

    record_id: UUID
    row: int | None
    """1-based, in the dataset as it is now; null: the record is not there any more."""
    identifier: str | None


class Match(Struct, frozen=True, kw_only=True):
    """Two records that belong together, or may."""

    id: UUID
    left: RecordOfMatch
    right: RecordOfMatch
    status: Status
    found: Annotated[str, Meta(description="What the last run says: matched, review or unmatched.")]
    decision: Annotated[
        str | None, Meta(description="What a person decided: accepted, rejected or unmatched.")
    ]
    confidence: Annotated[float, Meta(description="Probability that they belong together.")]
    stage: Annotated[str, Meta(description="The stage that found it.")]
    amount: Annotated[str | None, Meta(description="How much of the two is applied to each other.")]
    currency: str | None
    explanation: list[FieldEvidence]
    alternatives: list[Alternative]
    version: Annotated[int, Meta(description="To be named by whoever decides upon it.")]
    cluster_id: UUID | None
    run_id: UUID | None
    decided_by: str | None
    decided_at: datetime | None

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Match:
        """Read the columns that the listings of matches select."""
        return cls(**_match_fields(row))


def _match_fields(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": row["match_id"],
        "left": RecordOfMatch(row["left_record_id"], row["left_row"], row["left_identifier"]),
        "right": RecordOfMatch(row["right_record_id"], row["right_row"], row["right_identifier"]),
        "status": Status(row["status"]),
        "found": row["found"],
        "decision": row["decision"],
        "confidence": row["confidence"],
        "stage": row["stage"],
        "amount": None if row["amount"] is None else plain(row["amount"]),
        "currency": row["currency"],
        "explanation": msgspec.convert(row["explanation"], list[FieldEvidence]),
        "alternatives": msgspec.convert(row["alternatives"], list[Alternative]),
        "version": row["version"],
        "cluster_id": row["cluster_id"],
        "run_id": row["run_id"],
        "decided_by": row["decided_by"],
        "decided_at": row["decided_at"],
    }


class MatchPage(Struct, frozen=True):
    """Matches, the surest first, and the cursor of those that follow."""

    items: list[Match]
    next_cursor: str | None


class Decision(Struct, frozen=True):
    """What somebody decided of a match."""

    id: UUID
    match_id: UUID
    left_record_id: UUID
    right_record_id: UUID
    action: DecisionAction
    status_before: str
    status_after: str
    version: Annotated[int, Meta(description="Of the match, after the decision.")]
    actor: str
    note: str | None
    decided_at: datetime

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Decision:
        """Read the columns that the listings of decisions select."""
        identity = row["decision_id"]
        return msgspec.convert({"id": identity, **row}, cls)


class DecisionPage(Struct, frozen=True):
    """Decisions, newest first, and the cursor of those before."""

    items: list[Decision]
    next_cursor: str | None


class MatchDetail(Match, frozen=True, kw_only=True):
    """A match with all that its records hold, what competes with it and what was decided."""

    left_values: Annotated[
        dict[str, str], Meta(description="The left record's cells as they were, by column.")
    ]
    right_values: dict[str, str]
    competing: Annotated[
        list[Match], Meta(description="Other matches of either record, the surest first.")
    ]
    decisions: Annotated[list[Decision], Meta(description="The last twenty, newest first.")]

    @classmethod
    def of(
        cls, row: asyncpg.Record, competing: list[Match], decisions: list[Decision]
    ) -> MatchDetail:
        """Put together what the statements of the detail return."""
        return cls(
            **_match_fields(row),
            left_values=row["left_values"] or {},
            right_values=row["right_values"] or {},
            competing=competing,
            decisions=decisions,
        )


class UnmatchedRecord(Struct, frozen=True):
    """A record that is in no match that holds."""

    record_id: UUID
    row: int
    identifier: str | None
    amount: str | None
    currency: str | None
    dated: date | None
    values: dict[str, str]
    in_review: Annotated[int, Meta(description="Matches of it that wait for review.")]

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> UnmatchedRecord:
        """Read the columns that `list_unmatched` selects."""
        return cls(
            row["record_id"],
            row["row"],
            row["identifier"],
            None if row["amount"] is None else plain(row["amount"]),
            row["currency"],
            row["dated"],
            row["original"],
            row["in_review"],
        )


class UnmatchedPage(Struct, frozen=True):
    """Records in the order of their dataset, and the cursor of those that follow.

    A page looks at 20,000 records at most: it may hold fewer than asked for, and more may follow.
    """

    items: list[UnmatchedRecord]
    next_cursor: str | None
