"""How much waits and runs in the queue, of all organizations."""

from __future__ import annotations

from dataclasses import dataclass

from muniment.db import Database, load_statements

_statements = load_statements("muniment.jobs")


@dataclass(frozen=True, slots=True)
class QueueState:
    """The jobs of one kind in one lane."""

    lane: str
    kind: str | None
    """None for a paused lane that has no jobs."""
    waiting: int
    """Due."""
    delayed: int
    """Due later."""
    running: int
    oldest_seconds: float | None
    """How long the one has waited that waits longest; None when none does."""
    paused: bool
    """Nothing of the lane is started."""


async def queue_state(database: Database) -> list[QueueState]:
    """Return the state of each lane and kind that has jobs, as the operator sees it.

    Raises:
        ServiceUnavailable, asyncpg.PostgresError: the database cannot be asked.
    """
    async with database.operator() as work:
        rows = await _statements.queue_state(work)
    return [QueueState(**row) for row in rows]
