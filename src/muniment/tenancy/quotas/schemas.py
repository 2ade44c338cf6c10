"""Usage as callers see it."""

from __future__ import annotations

import msgspec

from muniment.tier_settings import TierName


class UsageLimits(msgspec.Struct, frozen=True):
    """What the tier allows; null is no limit."""

    documents: int | None
    bytes: int | None
    file_bytes: int
    """Largest file, in bytes."""
    requests_per_minute: int


class Usage(msgspec.Struct, frozen=True):
    """What the organization uses of what its tier allows."""

    documents: int
    bytes: int
    """Of originals, as they were imported."""
    tier: TierName
    limits: UsageLimits
