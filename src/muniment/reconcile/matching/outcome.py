"""What a run found out, whatever stages it went through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from muniment.reconcile.matching.match import Match


@dataclass(frozen=True)
class Offset:
    """Two entries of one dataset that cancel each other, as a booking and its reversal."""

    side: str
    """left or right"""
    row: int
    other_row: int
    confidence: float


@dataclass(frozen=True)
class Outcome:
    """Matches and what is to be said of them."""

    kind: str
    """ledger, linkage or duplicates"""
    matches: Iterable[Match]
    """The surest first. May be walked through several times; made as they are asked for, where
    they are many."""
    clusters: dict[int, int] = field(default_factory=dict)
    """Of duplicates: by 1-based row the smallest row of its cluster; rows alone are left out."""
    offsets: list[Offset] = field(default_factory=list)
    threshold: float = 0.5
    """Confidence from which pairs are matched."""
    compared: list[tuple[str, str, str]] = field(default_factory=list)
    """Left column, right column, role: what was compared with what."""
    notes: list[str] = field(default_factory=list)
    """For people: what was decided on the way, and what was bounded."""
    model: bytes | None = None
    """What a later run of only the new rows needs, see `Earlier`."""
