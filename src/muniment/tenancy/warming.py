"""What is known ahead of the first requests: who asked lately, and how organizations stand."""

from __future__ import annotations

import msgspec

from muniment.cache import Cache, WarmValue
from muniment.db import Database, load_statements
from muniment.tenancy.authentication import (
    KEYS,
    ORGANIZATIONS,
    SESSIONS,
    CachedKey,
    CachedOrganization,
    CachedSession,
)

statements = load_statements("muniment.tenancy")

MOST = 500
"""Values of each kind; a process may cache four times as many."""


def keep_warm(cache: Cache, database: Database) -> None:
    """Fill the cache with the callers of the last hour, now and whenever it was emptied.

    It reads past the organizations' borders, as the operator, and each value goes where only a
    request with the very key or token finds it.
    """

    async def keys() -> list[WarmValue[CachedKey]]:
        async with database.operator() as work:
            rows = await statements.keys_used_lately(work, limit=MOST)
        return [
            WarmValue(row["hash"].hex(), "", msgspec.convert(dict(row), CachedKey), ("key",))
            for row in rows
        ]

    async def sessions() -> list[WarmValue[CachedSession]]:
        async with database.operator() as work:
            rows = await statements.sessions_seen_lately(work, limit=MOST)
        return [
            WarmValue(
                row["token_hash"].hex(), "", msgspec.convert(dict(row), CachedSession), ("session",)
            )
            for row in rows
        ]

    async def organizations() -> list[WarmValue[CachedOrganization]]:
        async with database.operator() as work:
            rows = await statements.organizations_used_lately(work, limit=MOST)
        return [
            WarmValue(
                row["org_id"].hex,
                "",
                msgspec.convert(dict(row), CachedOrganization),
                ("organization",),
            )
            for row in rows
        ]

    cache.warm(KEYS, keys)
    cache.warm(SESSIONS, sessions)
    cache.warm(ORGANIZATIONS, organizations)
