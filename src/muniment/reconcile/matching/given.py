"""What a run must not decide anew: people's decisions, and what an earlier run has settled."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct, field

RowPair: TypeAlias = tuple[int, int]
"""1-based rows of the left and the right dataset; of one dataset the smaller one first."""


class Given(Struct, frozen=True):
    """Decisions of people, which hold whatever the data say."""

    accepted: list[RowPair] = field(default_factory=list)
    """Belong together. A run returns them with the confidence 1 and the stage `decision`."""
    rejected: list[RowPair] = field(default_factory=list)
    """Do not belong together: never returned, never joined in one cluster."""


class Earlier(Struct, frozen=True):
    """What the last run found, for one that only compares what is new since.

    The result of such a run is that of a full one within the bounds that each stage documents.
    """

    new_left: list[int] = field(default_factory=list)
    """1-based rows that the last run did not see; all others it saw as they are."""
    new_right: list[int] = field(default_factory=list)
    pairs: list[tuple[int, int, float, str]] = field(default_factory=list)
    """Left row, right row, confidence and stage of what was matched or in review."""
    model: bytes | None = None
    """`Outcome.model` of the last full run."""
