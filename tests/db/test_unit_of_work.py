"""Transactions belong to one organization, commit or roll back, and are bounded in time."""

from __future__ import annotations

import asyncpg
import pytest

from muniment.db import Database, TenantScope


async def organization_names(database: Database, scope: TenantScope) -> list[str]:
    async with database.unit_of_work(scope) as work:
        rows = await work.connection.fetch("SELECT name FROM organizations")
    return [row["name"] for row in rows]


async def test_sees_only_its_organization(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    assert await organization_names(database, scope) == ["Ours"]
    assert await organization_names(database, other_scope) == ["Theirs"]


async def test_without_organization_tables_look_empty(
    database: Database, scope: TenantScope
) -> None:
    async with database.system() as work:
        assert await work.connection.fetch("SELECT * FROM organizations") == []


async def test_operator_sees_every_organization(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    async with database.operator() as work:
        assert await work.connection.fetchval("SELECT count(*) FROM organizations") == 2


async def test_rolls_back_when_the_body_raises(database: Database, scope: TenantScope) -> None:
    async def rename_and_fail() -> None:
        async with database.unit_of_work(scope) as work:
            await work.connection.execute("UPDATE organizations SET name = 'Changed'")
            raise LookupError("stop")

    with pytest.raises(LookupError):
        await rename_and_fail()
    assert await organization_names(database, scope) == ["Ours"]


async def test_statement_is_cancelled_after_its_time(clone, scope: TenantScope) -> None:  # type: ignore[no-untyped-def]
    async with clone.open(statement_timeout=0.05) as impatient:
        with pytest.raises(asyncpg.QueryCanceledError):
            async with impatient.unit_of_work(scope) as work:
                await work.connection.execute("SELECT pg_sleep(10)")
        async with impatient.unit_of_work(scope) as work:
            assert await work.connection.fetchval("SELECT 1") == 1


async def test_rows_of_another_organization_cannot_be_written(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.unit_of_work(scope) as work:
            await work.connection.execute(
                "INSERT INTO workspaces (org_id, workspace_id, name) VALUES ($1, $1, 'x')",
                other_scope.org_id,
            )
