"""What may be asked of the decisions of a reconciliation, and what is answered."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from muniment.reconcile.review.schemas import DecisionAction, Note, Probability, Stage, Status

AT_ONCE = 1000
"""Matches that one request decides upon, at most."""

Version = Annotated[int, Meta(ge=0, le=2**31 - 2)]


class OneDecision(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A decision upon a match, or upon two records that no run has put together.

    A match is named with the version that was seen. Two records are only accepted.
    """

    action: DecisionAction
    match_id: UUID | None = None
    version: Version | None = None
    left_record_id: UUID | None = None
    right_record_id: UUID | None = None
    note: Note | None = None


class Meant(Struct, frozen=True, forbid_unknown_fields=True):
    """Which matches a decision is upon; what is left out does not matter.

    Without a status it is those that nobody has decided upon (matched and review), or, to reset
    them, those that somebody has.
    """

    status: Status | None = None
    min_confidence: Probability | None = None
    max_confidence: Probability | None = None
    stage: Stage | None = None


class Decide(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to decide: a list of decisions, or one action upon all matches that a filter means."""

    decisions: Annotated[list[OneDecision], Meta(min_length=1, max_length=AT_ONCE)] | None = None
    filter: Meant | None = None
    action: DecisionAction | None = None
    """With `filter`."""
    note: Note | None = None
    """With `filter`."""


class DecidedMatch(Struct, frozen=True):
    """How a match is after the decision."""

    id: UUID
    status: Status
    version: int


class Decided(Struct, frozen=True):
    """What was decided."""

    decided: int
    matches: list[DecidedMatch]
    more: Annotated[
        bool,
        Meta(description="There are more matches that the filter means: send the same again."),
    ]
