"""How far objectives are kept: attainment, error budget and burn rates.

The arithmetic is that of the Site Reliability Workbook (Google, 2018), chapter 5, "Alerting on
SLOs": burn rate = share of bad ones in a window / (1 - target), and a budget burns where a long
and a short window both exceed a factor (its table 5-8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from muniment.db import UnitOfWork
from muniment.objective_settings import Objective
from muniment.observability.objectives.histogram import quantile
from muniment.observability.objectives.recorder import series_of
from muniment.observability.objectives.schemas import (
    Burn,
    ErrorBudget,
    ObjectiveReport,
    Percentiles,
    State,
)
from muniment.observability.objectives.writer import statements

Window = Literal["5m", "30m", "1h", "6h", "3d"]
WINDOWS: tuple[Window, ...] = ("5m", "30m", "1h", "6h", "3d")
"""In the order of the statement `objective_totals`."""

BURNING: tuple[tuple[Window, Window, float], ...] = (
    ("1h", "5m", 14.4),
    ("6h", "30m", 6.0),
    ("3d", "6h", 1.0),
)
"""Long window, short window, and the rate above which both must be: in 28 days, 14.4 spends 2 %
of the budget in the hour, 6 spends 5 % in six hours, 1 spends 10 % in three days."""
FEWEST_BAD = 5
"""Fewer bad ones in a window are never called burning, nor a budget exhausted: one slow request
of three says nothing."""


async def report(work: UnitOfWork, objectives: Mapping[str, Objective]) -> list[ObjectiveReport]:
    """Return how far each objective is kept, in their order, with one statement.

    Args:
        work: any transaction; the counts belong to nobody.
        objectives: by name, from the settings.
    """
    series = {series_of(name, objective): name for name, objective in objectives.items()}
    rows = await statements.objective_totals(
        work,
        series=list(series),
        days=[objectives[name].days for name in series.values()],
    )
    by_name = {series[row["series"]]: row for row in rows}
    return [_report(name, objective, by_name[name]) for name, objective in objectives.items()]


async def burning(work: UnitOfWork, objectives: Mapping[str, Objective]) -> list[ObjectiveReport]:
    """Return the objectives whose budget is burning too fast or exhausted, see `report`."""
    found = await report(work, objectives)
    return [each for each in found if each.state in {"burning", "exhausted"}]


def _report(name: str, objective: Objective, seen: Mapping[str, Any]) -> ObjectiveReport:
    total, good = seen["total"], seen["good"]
    burn = [
        burn_of(window, all_of or 0, good_of or 0, objective.share)
        for window, all_of, good_of in zip(WINDOWS, seen["totals"], seen["goods"], strict=True)
    ]
    budget = budget_of(total, good, objective.share)
    counts = [count or 0 for count in seen["counts"]]
    return ObjectiveReport(
        name=name,
        routes=list(objective.routes),
        jobs=list(objective.jobs),
        within_ms=objective.within_ms,
        share=objective.share,
        days=objective.days,
        failures_count=objective.failures,
        state=state_of(total, budget, burn),
        total=total,
        good=good,
        failed=seen["failed"],
        attainment=good / total if total else None,
        budget=budget,
        burn=burn,
        percentiles=Percentiles(
            *(_milliseconds(quantile(counts, share)) for share in (0.5, 0.95, 0.99))
        ),
    )


def budget_of(total: int, good: int, share: float) -> ErrorBudget:
    """Return how much of the error budget of so many is spent; `share` is the target."""
    # Rounded, because 1 - 0.99 is not quite 0.01.
    allowed = round((1 - share) * total, 6)
    spent = total - good
    remaining = round(1 - spent / allowed, 6) if allowed else None
    return ErrorBudget(allowed, spent, remaining)


def burn_of(window: Window, total: int, good: int, share: float) -> Burn:
    """Return how fast the budget burnt in a window; `share` is the target."""
    bad = total - good
    rate = round(bad / total / (1 - share), 6) if total else None
    return Burn(window, total, bad, rate)


def state_of(total: int, budget: ErrorBudget, burn: Sequence[Burn]) -> State:
    """Return the state of an objective; what is exhausted may burn as well."""
    if total == 0:
        return "no_data"
    if budget.spent >= FEWEST_BAD and budget.spent > budget.allowed:
        return "exhausted"
    by_window = {each.window: each for each in burn}
    for long, short, factor in BURNING:
        if by_window[long].bad < FEWEST_BAD:
            continue
        if all((by_window[each].rate or 0.0) > factor for each in (long, short)):
            return "burning"
    return "ok"


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
