"""Counts as rows of the table, at whatever age."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from muniment.db import Database
from muniment.objective_settings import Objective
from muniment.observability.objectives.histogram import STEPS
from muniment.observability.objectives.recorder import series_of

SEARCH = Objective(routes=("POST /v1/search",), within_ms=300, share=0.99, days=28)
CONVERT = Objective(jobs=("documents.convert",), within_ms=60_000, share=0.95, days=7)
BOTH = {"search": SEARCH, "convert": CONVERT}
SERIES = {name: series_of(name, objective) for name, objective in BOTH.items()}


async def put(
    database: Database,
    name: str,
    age: timedelta,
    *,
    total: int,
    bad: int,
    failed: int = 0,
    counts: Sequence[int] | None = None,
) -> None:
    """Add counts to the minute of so long ago."""
    async with database.system() as work:
        await work.connection.execute(
            "INSERT INTO objective_counts (series, starts_at, hourly, total, good, failed, counts)"
            " VALUES ($1, date_trunc('minute', now() - $2::interval), false, $3, $4, $5, $6)",
            SERIES[name],
            age,
            total,
            total - bad,
            failed,
            list(counts or [total, *[0] * (STEPS - 1)]),
        )


async def rows(database: Database) -> list[dict[str, Any]]:
    """Return all counts, by series and time."""
    async with database.system() as work:
        found = await work.connection.fetch(
            "SELECT series, starts_at, hourly, total, good, failed, counts FROM objective_counts"
            " ORDER BY series, starts_at, hourly"
        )
    return [dict(row) for row in found]
