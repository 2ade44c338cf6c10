"""Whether this process can serve: database, schema and queue."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from muniment.db import load_statements
from muniment.db.installation import expected_revision
from muniment.errors import MunimentError

if TYPE_CHECKING:
    from muniment.db import Database

QUEUE_TABLE = "queue.entries"
CHECK_SECONDS = 3.0
"""A database that needs longer to answer the checks is not ready."""

statements = load_statements("muniment.observability")
_expected_revision = cache(expected_revision)


class Check(msgspec.Struct, frozen=True):
    """One thing that must hold for this process to serve requests."""

    name: str
    ok: bool
    detail: str
    """What was found, or what is missing and what to do about it."""


async def check_readiness(database: Database) -> list[Check]:
    """Return the checks of database, migrations and queue, in this order.

    A check that could not be made because one before it failed is not listed.
    """
    # Reading the migration scripts takes a moment the first time.
    expected = await asyncio.to_thread(_expected_revision)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await _checks(database, expected)
    except TimeoutError:
        return [Check("database", ok=False, detail="The database does not answer in time.")]
    except (MunimentError, asyncpg.PostgresError) as error:
        reason = type(error).__doc__ if isinstance(error, MunimentError) else None
        return [Check("database", ok=False, detail=reason or "The database refuses to answer.")]


async def _checks(database: Database, expected: str) -> list[Check]:
    found: str | None = None
    try:
        async with database.system() as work:
            found = await statements.schema_revision(work)
    except asyncpg.UndefinedTableError:
        pass  # an empty database has no revision
    checks = [Check("database", ok=True, detail="The database answers.")]
    if found != expected:
        has = "no schema yet" if found is None else f"schema revision {found}"
        detail = (
            f"The database has {has}, this version needs {expected}: run `muniment db upgrade`."
        )
        return [*checks, Check("migrations", ok=False, detail=detail)]
    checks.append(Check("migrations", ok=True, detail=f"The schema is at revision {found}."))
    async with database.system() as work:
        present = await statements.queue_table(work, name=QUEUE_TABLE)
    detail = "The queue is there." if present else "The queue's table is missing."
    return [*checks, Check("queue", ok=bool(present), detail=detail)]
