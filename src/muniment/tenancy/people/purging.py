"""Ended sessions and unused links are deleted once an hour by whichever process comes first."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import structlog

from muniment.db import Database
from muniment.errors import MunimentError
from muniment.tenancy.people.sessions import SessionTerms, purge_expired

EVERY_SECONDS = 3600.0

_log = structlog.get_logger()


@asynccontextmanager
async def purging(
    database: Database, terms: SessionTerms, *, every: float = EVERY_SECONDS
) -> AsyncIterator[None]:
    """Purge now and then while the context is open; `every` is in seconds, give or take a tenth."""
    task = asyncio.create_task(_purge(database, terms, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _purge(database: Database, terms: SessionTerms, every: float) -> None:
    while True:
        # Processes that started together shall not purge together.
        await asyncio.sleep(every * random.uniform(0.9, 1.1))  # noqa: S311 - no secret
        try:
            purged = await purge_expired(database, terms)
        except (MunimentError, asyncpg.PostgresError, TimeoutError) as error:
            _log.warning("sessions_not_purged", reason=type(error).__name__)
        else:
            _log.debug("sessions_purged", rows=purged)
