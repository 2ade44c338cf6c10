"""Tiers: what an organization may use."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Tier(BaseModel):
    """What an organization of a tier may use; None is no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_minute: int = Field(ge=1)
    max_bytes: int | None = Field(default=None, ge=0)
    max_documents: int | None = Field(default=None, ge=0)
    max_file_bytes: int = Field(ge=1)


_TIERS: dict[str, dict[str, int | None]] = {
    "free": {
        "requests_per_minute": 100,
        "max_bytes": 10**9,
        "max_documents": 1_000,
        "max_file_bytes": 25 * 10**6,
    },
    "pro": {
        "requests_per_minute": 500,
        "max_bytes": 50 * 10**9,
        "max_documents": 100_000,
        "max_file_bytes": 100 * 10**6,
    },
    "enterprise": {"requests_per_minute": 2_000, "max_file_bytes": 10**9},
}


class Tiers(BaseModel):
    """The three tiers; what a setting leaves out of one stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    free: Tier
    pro: Tier
    enterprise: Tier

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        complete: dict[str, Any] = {}
        for name in given.keys() | _TIERS.keys():
            changes = given.get(name, {})
            known = _TIERS.get(name, {})
            complete[name] = {**known, **changes} if isinstance(changes, dict) else changes
        return complete

    def of(self, name: str) -> Tier:
        """Return the tier of a name as an organization has it."""
        tier: Tier = getattr(self, name)
        return tier


TierName = Literal["free", "pro", "enterprise"]
