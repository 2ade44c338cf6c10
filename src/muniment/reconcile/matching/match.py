"""What every stage of a reconciliation returns: a pair of records, how sure, and why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

Progress: TypeAlias = Callable[[str, float], None]
"""Told the name of the step that begins and the share of the work done, 0 to 1."""

_EPOCH: Final = date(1970, 1, 1)


def silent(step: str, share: float) -> None:
    """Tell nobody: the `Progress` of whoever asks for none."""


def day_shown(number: float) -> str:
    """Return a day as explanations show it, given as days since 1970."""
    return (_EPOCH + timedelta(days=int(number))).isoformat()


class MatchStatus(StrEnum):
    """What a stage says of a pair; people's decisions are kept beside it, not in it."""

    MATCHED = "matched"
    """More likely right than wrong for the whole list: it belongs in the answer."""

    REVIEW = "review"
    """Worth a person's look; not part of the answer until someone accepts it."""


class FieldEvidence(msgspec.Struct, frozen=True):
    """What one pair of fields says about a pair of records.

    `agreement` is from 0 (nothing alike) to 1 (the same). `weight` is the base-2 logarithm of the
    evidence's likelihood ratio: +3 makes the match eight times as likely, -3 an eighth as likely,
    and 0 says nothing, as where a value is missing.
    """

    field_left: str
    field_right: str
    left: str
    right: str
    agreement: float
    weight: float


class Alternative(msgspec.Struct, frozen=True):
    """Another pair that was considered for one of the two records, and lost."""

    left_row: int
    right_row: int
    confidence: float


class Match(msgspec.Struct, frozen=True):
    """One left record and one right record that belong together.

    Rows are 1-based source rows. A match of one record with several is several of these, one for
    each pair. `amount` is how much of the two is applied to each other, in the unit of the amount
    column, or None where no amounts are compared. `confidence` is a probability: of the matches
    given with 0.9, nine in ten should be right. `stage` is the name of the stage that found it.
    """

    left_row: int
    right_row: int
    confidence: float
    status: MatchStatus
    stage: str
    amount: Decimal | None = None
    explanation: list[FieldEvidence] = []
    alternatives: list[Alternative] = []
