"""Entries of the audit log are added, and never changed or deleted."""

from __future__ import annotations

import asyncpg
import pytest

from muniment.db import Database, TenantScope, new_id
from tests.tenancy.audit.conftest import entries, fill

CHANGES = [
    "UPDATE audit_log SET actor = 'nobody'",
    "UPDATE audit_log SET at = now() WHERE org_id = current_org_id()",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
    "TRUNCATE organizations CASCADE",
    "DROP TABLE audit_log",
    "ALTER TABLE audit_log DISABLE ROW LEVEL SECURITY",
    "SELECT entry_id FROM audit_log FOR UPDATE",
    """INSERT INTO audit_log (org_id, entry_id, actor, action, target_type)
    SELECT org_id, entry_id, 'x', 'a.b', 'c' FROM audit_log
    ON CONFLICT (org_id, entry_id) DO UPDATE SET actor = 'nobody'""",
    """MERGE INTO audit_log USING organizations AS o ON audit_log.org_id = o.org_id
    WHEN MATCHED THEN DELETE""",
]


@pytest.mark.parametrize("change", CHANGES)
async def test_entries_cannot_be_changed(
    database: Database, scope: TenantScope, change: str
) -> None:
    """By nobody who connects: neither the application nor the operator."""
    await fill(database, scope, 1)
    for transaction in (database.unit_of_work(scope), database.operator()):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with transaction as work:
                await work.connection.execute(change)
    assert len(await entries(database, scope)) == 1


@pytest.mark.parametrize("role", ["muniment_app", "muniment_operator", "muniment_definer"])
async def test_no_role_was_given_more_than_adding(
    database: Database, scope: TenantScope, role: str
) -> None:
    async with database.operator() as work:
        # Nobody can give away what nobody was given to give; Postgres only warns of it.
        await work.connection.execute("GRANT UPDATE, DELETE ON audit_log TO muniment_app")
        for privilege in ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER"):
            assert not await work.connection.fetchval(
                "SELECT has_table_privilege($1, 'audit_log', $2)", role, privilege
            )
        assert not await work.connection.fetchval(
            "SELECT has_any_column_privilege($1, 'audit_log', 'UPDATE')", role
        )
        assert not await work.connection.fetchval(
            "SELECT pg_has_role($1, 'muniment_owner', 'MEMBER')", role
        )


async def test_entries_outlive_their_organization(database: Database, scope: TenantScope) -> None:
    await fill(database, scope, 1)
    async with database.unit_of_work(scope) as work:
        await work.connection.execute("DELETE FROM organizations")
    assert len(await entries(database, scope)) == 1


async def test_nobody_writes_into_another_organization_s_log(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    await fill(database, other_scope, 1)
    assert await entries(database, scope) == []
    insert = (
        "INSERT INTO audit_log (org_id, entry_id, actor, action, target_type)"
        " VALUES ($1, $2, 'x', 'a.b', 'c')"
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.unit_of_work(scope) as work:
            await work.connection.execute(insert, other_scope.org_id, new_id())
    async with database.system() as work:
        assert await work.connection.fetchval("SELECT count(*) FROM audit_log") == 0
