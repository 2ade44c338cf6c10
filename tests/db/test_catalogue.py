"""Every tenant table is built like every other: the catalogue itself is walked."""

from __future__ import annotations

import asyncpg
import pytest

from muniment.db import Database, TenantScope

WITHOUT_TENANT = {
    "alembic_version",
    "embedding_models",
    "objective_counts",
    "objective_writers",
    "operator_keys",
}
"""Tables of the schema `public` that hold nothing of an organization."""
PERSONAL = {"users", "identities", "sessions", "password_resets"}
"""Tables of persons, who may belong to several organizations; see `protect_personal_table`."""

TABLES = """
SELECT c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity,
       pg_get_userbyid(c.relowner) AS owner,
       EXISTS (
           SELECT FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attname = 'org_id' AND a.attnotnull
       ) AS has_org
FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname
"""
POLICIES = """
SELECT polrelid AS oid, polcmd, polpermissive, polroles = '{0}' AS for_all,
       pg_get_expr(polqual, polrelid) AS readable, pg_get_expr(polwithcheck, polrelid) AS writable
FROM pg_policy
"""
FIRST_COLUMNS = """
SELECT c.conrelid AS oid, c.conname, c.contype, c.confrelid::regclass::text AS referred,
       (SELECT attname FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = c.conkey[1])
           AS first_column,
       (SELECT attname FROM pg_attribute a
        WHERE a.attrelid = c.confrelid AND a.attnum = c.confkey[1]) AS first_referred
FROM pg_constraint c
WHERE c.contype IN ('p', 'f')
"""


async def fetch(database: Database, query: str) -> list[asyncpg.Record]:
    async with database.operator() as work:
        return await work.connection.fetch(query)


@pytest.fixture
async def tables(database: Database) -> dict[int, asyncpg.Record]:
    rows = await fetch(database, TABLES)
    return {row["oid"]: row for row in rows if row["relname"] not in WITHOUT_TENANT | PERSONAL}


async def test_every_table_of_persons_has_the_one_policy(database: Database) -> None:
    rows = [row for row in await fetch(database, TABLES) if row["relname"] in PERSONAL]
    assert {row["relname"] for row in rows} == PERSONAL
    assert all(row["relrowsecurity"] and row["relforcerowsecurity"] for row in rows)
    policies = await fetch(database, POLICIES)
    expected = "(user_id = current_user_id())"
    assert {
        (row["oid"], row["polcmd"], row["for_all"], row["readable"], row["writable"])
        for row in policies
        if row["oid"] in {row["oid"] for row in rows}
    } == {(row["oid"], b"*", True, expected, expected) for row in rows}


async def test_the_application_cannot_read_the_keys_of_operators(
    database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await work.connection.fetch("SELECT hash FROM operator_keys")


async def test_every_table_has_its_organization_and_forces_row_security(
    tables: dict[int, asyncpg.Record],
) -> None:
    assert {"organizations", "workspaces", "api_keys", "documents", "chunks", "jobs"} <= {
        row["relname"] for row in tables.values()
    }
    faulty = [
        row["relname"]
        for row in tables.values()
        if not (row["has_org"] and row["relrowsecurity"] and row["relforcerowsecurity"])
    ]
    assert faulty == []
    assert {row["owner"] for row in tables.values()} == {"muniment_owner"}


async def test_every_table_has_the_one_policy(
    database: Database, tables: dict[int, asyncpg.Record]
) -> None:
    policies = await fetch(database, POLICIES)
    by_table = {oid: [row for row in policies if row["oid"] == oid] for oid in tables}
    expected = "(org_id = current_org_id())"
    faulty = [
        tables[oid]["relname"]
        for oid, rows in by_table.items()
        if [
            (r["polcmd"], r["polpermissive"], r["for_all"], r["readable"], r["writable"])
            for r in rows
        ]
        != [(b"*", True, True, expected, expected)]
    ]
    assert faulty == []


async def test_keys_begin_with_the_organization(
    database: Database, tables: dict[int, asyncpg.Record]
) -> None:
    constraints = [row for row in await fetch(database, FIRST_COLUMNS) if row["oid"] in tables]
    keyed = {row["oid"] for row in constraints if row["contype"] == b"p"}
    assert keyed == set(tables)
    faulty = [
        row["conname"]
        for row in constraints
        if row["referred"] not in WITHOUT_TENANT | PERSONAL
        and (row["first_column"] != "org_id" or row["first_referred"] not in (None, "org_id"))
    ]
    assert faulty == []


async def test_the_application_owns_nothing_and_cannot_look_past_row_security(
    database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        role = await work.connection.fetchrow(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles"
            " WHERE rolname = current_user"
        )
        owned = await work.connection.fetchval(
            "SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = current_user"
        )
    assert role is not None
    assert tuple(role) == ("muniment_app", False, False, False)
    assert owned == 0


async def test_functions_that_look_past_row_security_are_few_and_closed(
    database: Database,
) -> None:
    rows = await fetch(
        database,
        "SELECT p.proname, p.proconfig, has_function_privilege('public', p.oid, 'execute') AS open,"
        " pg_get_userbyid(p.proowner) AS owner FROM pg_proc p WHERE p.prosecdef"
        " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')",
    )
    assert rows
    faulty = [
        row["proname"]
        for row in rows
        if row["open"]
        or row["owner"] not in {"muniment_definer", "muniment_owner"}
        or not any(setting.startswith("search_path=") for setting in row["proconfig"] or [])
    ]
    assert faulty == []
