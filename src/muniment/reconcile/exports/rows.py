"""What a line of the matches file holds."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple
from uuid import UUID


class MatchRow(NamedTuple):
    """One pair of records; a match of one record with several is several of these."""

    left_row: int
    """1-based, as in the source."""
    right_row: int
    left_id: str | None
    """Value of the identifier column, as it stands in the source; None: there is no such column."""
    right_id: str | None
    amount: Decimal | None
    """How much of the two is applied to each other; None where no amounts are compared."""
    confidence: float
    """Probability that the records belong together."""
    status: str
    """matched, review, accepted, rejected, unmatched"""
    stage: str
    explanation: str
    """In words, one line, as `exports.explanation.explain` writes it."""
    cluster_id: UUID | int | None = None
    """Of both records, where one dataset is compared with itself."""


MATCH_COLUMNS = MatchRow._fields[:-1]
"""Of the file; `cluster_id` is added for one dataset."""
