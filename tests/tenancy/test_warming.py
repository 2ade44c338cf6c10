"""Callers of the last hour are known before they ask again."""

from __future__ import annotations

from datetime import timedelta

from muniment.cache import Cache, open_cache
from muniment.db import Database, Role, TenantScope
from muniment.db.statements import observe_statements
from muniment.tenancy.authentication import Authenticator
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.people.touches import Touches
from muniment.tenancy.warming import keep_warm
from tests.waiting import until


def entries_of(cache: Cache, namespace: str) -> int:
    found = cache.statistics().namespaces.get(namespace)
    return 0 if found is None else found.entries


async def test_a_key_that_was_used_lately_needs_no_statement(
    database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        made = await create_api_key(work, "test", Role.VIEWER)
        await work.connection.execute("UPDATE api_keys SET last_used_at = now()")
    async with open_cache(database) as cache:
        keep_warm(cache, database)
        await until(lambda: entries_of(cache, "organizations") == 1)
        authenticator = Authenticator(database, cache, Touches(database), timedelta(hours=1))
        ran: list[str] = []
        with observe_statements(lambda name, _seconds, _error: ran.append(name)):
            caller = await authenticator.by_key(f"Bearer {made.key}")
    assert caller.tenant.org_id == scope.org_id
    assert ran == []


async def test_what_was_long_ago_or_revoked_is_not_brought_back(
    database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        for _ in range(2):
            await create_api_key(work, "test", Role.VIEWER)
        await work.connection.execute(
            "UPDATE api_keys SET last_used_at = now() - interval '2 hours'"
            " WHERE api_key_id = (SELECT min(api_key_id::text)::uuid FROM api_keys)"
        )
        await work.connection.execute(
            "UPDATE api_keys SET last_used_at = now(), revoked_at = now()"
            " WHERE last_used_at IS NULL"
        )
    async with open_cache(database) as cache:
        keep_warm(cache, database)
        await until(lambda: entries_of(cache, "organizations") == 1)
        assert entries_of(cache, "api_keys") == 0
