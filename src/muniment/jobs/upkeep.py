"""Recurring work on the installation itself, done by one worker at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import structlog

from muniment.db import Database, load_statements
from muniment.errors import MunimentError
from muniment.jobs.outcome import DATABASE_TROUBLE

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.jobs")


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Something that is to be done now and then, whatever the number of workers."""

    name: str
    every: timedelta
    do: Callable[[Database], Awaitable[object]]
    """Must be safe to be cut short and done again."""


async def keep_up(database: Database, chores: Sequence[Upkeep]) -> None:
    """Do what is due until cancelled; whoever finds it due first does it."""
    while True:
        shortest = min((chore.every for chore in chores), default=timedelta(hours=1))
        # Workers that started together need not look together.
        await asyncio.sleep(shortest.total_seconds() * random.uniform(0.5, 1.0))  # noqa: S311
        for chore in chores:
            try:
                if await _is_due(database, chore):
                    done = await chore.do(database)
                    _log.debug("upkeep done", name=chore.name, result=str(done))
            except (*DATABASE_TROUBLE, MunimentError, asyncpg.PostgresError, TimeoutError) as error:
                _log.warning("upkeep failed", name=chore.name, error=str(error))


async def _is_due(database: Database, chore: Upkeep) -> bool:
    async with database.system() as work:
        took = await _statements.take_upkeep(work, name=chore.name, every=chore.every)
    return took is not None
