"""What operators are told of objectives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

State = Literal["ok", "burning", "exhausted", "no_data"]


class ErrorBudget(msgspec.Struct, frozen=True):
    """How many may miss the objective in its window, and how many have."""

    allowed: Annotated[float, msgspec.Meta(description="(1 - share) of the total.")]
    spent: int
    remaining: Annotated[
        float | None,
        msgspec.Meta(description="Share that is left; below 0 when more than all is spent."),
    ]


class Burn(msgspec.Struct, frozen=True):
    """How fast the budget is being spent: at 1 it would last exactly for the window."""

    window: Literal["5m", "30m", "1h", "6h", "3d"]
    total: int
    bad: int
    rate: Annotated[
        float | None, msgspec.Meta(description="Share of bad ones by that allowed; null if none.")
    ]


class Percentiles(msgspec.Struct, frozen=True):
    """Estimated from a histogram in fixed steps, so they may be off by part of a step."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class ObjectiveReport(msgspec.Struct, frozen=True):
    """One objective and how far it is kept."""

    name: str
    routes: list[str]
    jobs: list[str]
    within_ms: float | None
    share: Annotated[float, msgspec.Meta(description="The target.")]
    days: Annotated[int, msgspec.Meta(description="Length of the window, up to now.")]
    failures_count: bool
    state: State
    total: int
    good: int
    failed: int
    attainment: Annotated[
        float | None, msgspec.Meta(description="good / total; null without data.")
    ]
    budget: ErrorBudget
    burn: list[Burn]
    percentiles: Percentiles


class ObjectiveList(msgspec.Struct, frozen=True):
    """All objectives of the installation, as the settings of the asked process have them."""

    items: list[ObjectiveReport]
    computed_at: datetime
