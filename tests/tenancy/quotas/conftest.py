"""An organization of a small tier, and documents to fill it with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from muniment.db import Database, TenantScope, UnitOfWork, new_id
from muniment.documents.importing import Item, Source, upsert_items
from muniment.tenancy.first_start import workspace_of
from muniment.tenancy.quotas.recount import recount_usage
from muniment.tenancy.quotas.usage import read_standing
from muniment.tier_settings import Tiers

TIERS = Tiers.model_validate(
    {
        "free": {"max_documents": 10, "max_bytes": 1000, "max_file_bytes": 500},
        "pro": {"max_documents": 20, "max_bytes": 10_000, "max_file_bytes": 5000},
    }
)


def item(name: str, size: int = 10) -> Item:
    return Item(name, name, None, "text/plain", size, bytes(32), None, None)


@dataclass
class Quota:
    """An organization in the tier `free`, and its one source."""

    database: Database
    scope: TenantScope
    source: Source

    async def take_in(self, items: Sequence[Item]) -> None:
        async with self.database.unit_of_work(self.scope) as work:
            await upsert_items(work, self.source, None, items, TIERS)

    async def used(self) -> tuple[int, int]:
        async with self.database.unit_of_work(self.scope) as work:
            standing = await read_standing(work)
        return standing.documents, standing.bytes

    async def stored(self) -> tuple[int, int]:
        """Count documents and bytes as they lie there."""
        async with self.database.unit_of_work(self.scope) as work:
            row = await work.connection.fetchrow(
                "SELECT count(*), coalesce(sum(size_bytes), 0)::bigint FROM documents"
            )
        assert row is not None
        return tuple(row)

    async def execute(self, statement: str, *arguments: object) -> None:
        async with self.database.unit_of_work(self.scope) as work:
            await work.connection.execute(statement, *arguments)

    async def set_tier(self, tier: str) -> None:
        await self.execute("UPDATE organizations SET tier = $1", tier)


async def drift(database: Database) -> list[str]:
    """Return the names of organizations whose counts were wrong."""
    return [found.name async for found in recount_usage(database, "test") if found.drifted]


async def quota_of(database: Database, scope: TenantScope) -> Quota:
    async with database.unit_of_work(scope) as work:
        await work.connection.execute("UPDATE organizations SET tier = 'free'")
        source = await _source(work)
    return Quota(database, scope, source)


async def _source(work: UnitOfWork) -> Source:
    workspace_id, source_id = await workspace_of(work), new_id()
    await work.connection.execute(
        "INSERT INTO sources (org_id, source_id, workspace_id, type, name, location)"
        " VALUES ($1, $2, $3, 'local_folder', 'Folder', '/folder')",
        work.scope.org_id,
        source_id,
        workspace_id,
    )
    return Source(source_id, workspace_id)


@pytest.fixture
async def quota(database: Database, scope: TenantScope) -> Quota:
    return await quota_of(database, scope)
