"""No row of one organization can be reached from another: the catalogue itself is walked.

Both organizations own a row in every table. The attacks run as `muniment_app` in the
transaction of the first, and afterwards every row of the second is as it was. What is not held
against the application: it may itself set `muniment.org_id` by raw SQL, since that is how the
unit of work tells whose the transaction is; so row-level security guards against a forgotten or
wrong condition, and against values that find their way into a statement, but not against
somebody who can run statements of their own choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from muniment.db import UnitOfWork
from tests.tenancy.filled import Both, Connection, Table, fresh, insert, refused, undone

FOREIGN_KEYS = """
SELECT
    c.conrelid::regclass::text AS referring, c.confrelid::regclass::text AS referred,
    ARRAY(
        SELECT attname::text FROM unnest(c.conkey) WITH ORDINALITY AS key (number, place)
        JOIN pg_attribute ON attrelid = c.conrelid AND attnum = key.number ORDER BY place
    ) AS columns,
    ARRAY(
        SELECT attname::text FROM unnest(c.confkey) WITH ORDINALITY AS key (number, place)
        JOIN pg_attribute ON attrelid = c.confrelid AND attnum = key.number ORDER BY place
    ) AS referred_columns
FROM pg_constraint c WHERE c.contype = 'f' ORDER BY c.conrelid::regclass::text, c.conname
"""
UNIQUE_KEYS = """
SELECT ARRAY(
    SELECT attname::text FROM unnest(i.indkey) WITH ORDINALITY AS key (number, place)
    JOIN pg_attribute ON attrelid = i.indrelid AND attnum = key.number ORDER BY place
) AS columns, pg_get_expr(i.indpred, i.indrelid) AS condition
FROM pg_index i WHERE i.indrelid = $1::regclass AND i.indisunique
"""
HARMLESS = {
    ("members", "users"): "a member's person is a person of the installation; who may add whom is "
    "the endpoints' matter, and the person's own rows stay closed",
    ("embeddings", "embedding_models"): "names of models are the same for all",
}
"""Foreign keys through which a row may point at something that is not its organization's."""


def matches(table: Table) -> str:
    """Return the condition that a row has the primary key of a row given as JSON."""
    return " AND ".join(
        f"t.{column} = (jsonb_populate_record(NULL::{table.name}, $1)).{column}"
        for column in table.primary_key
    )


async def test_only_own_rows_are_read(both: Both) -> None:
    async with both.attack() as work:
        for table in both.tables:
            rows = await work.connection.fetch(f"SELECT t.{table.owner} FROM {table.name} AS t")
            assert {row[0] for row in rows} == {both.ours.owned(table)}, table.name
            for query in (
                f"SELECT count(*) FROM {table.name} AS t WHERE t.{table.owner} = $1",
                f"SELECT count(*) FROM {table.name} AS t WHERE t.{table.owner} <> $1 IS NOT TRUE",
                f"WITH x AS (TABLE {table.name}) SELECT count(*) FROM x WHERE {table.owner} = $1",
            ):
                found = await work.connection.fetchval(query, both.theirs.owned(table))
                assert found == 0, (table.name, query)


async def test_without_a_scope_every_table_is_empty(both: Both) -> None:
    async def seen(work: UnitOfWork) -> dict[str, int]:
        return {
            table.name: await work.connection.fetchval(f"SELECT count(*) FROM {table.name}")
            for table in both.tables
        }

    nothing = dict.fromkeys((table.name for table in both.tables), 0)
    async with both.database.system() as work:
        assert await seen(work) == nothing
    # A connection that has served an organization, lent without a transaction of its own.
    async with both.database.single_statement() as work:
        assert await seen(work) == nothing
    async with both.database.person(both.ours.user_id) as work:
        assert {name for name, count in (await seen(work)).items() if count} == {
            table.name for table in both.tables if table.owner == "user_id"
        }
        for table in both.tables:
            if table.owner == "user_id":
                rows = await work.connection.fetch(f"SELECT DISTINCT user_id FROM {table.name}")
                assert [row[0] for row in rows] == [both.ours.user_id]


async def test_no_row_can_be_inserted_for_others(both: Both) -> None:
    mine, yours = await both.rows(both.ours), await both.rows(both.theirs)
    async with both.attack() as work:
        for table in both.tables:
            stranger = {table.owner: str(both.theirs.owned(table))}
            free = [column for column in table.primary_key if column != table.owner]
            for row in (
                yours[table.name][0],
                fresh(yours[table.name][0], free),
                mine[table.name][0] | stranger,
                fresh(mine[table.name][0], free) | stranger,
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with undone(work.connection):
                        await insert(work.connection, table, row)


async def test_own_rows_cannot_be_given_away(both: Both) -> None:
    async with both.attack() as work:
        for table in both.tables:
            stranger = both.theirs.owned(table)
            query = f"UPDATE {table.name} SET {table.owner} = $1"
            assert await refused(work.connection, query, stranger), table.name


async def test_rows_of_others_can_be_neither_changed_nor_deleted(both: Both) -> None:
    yours = await both.rows(both.theirs)
    async with both.attack() as work:
        for table in both.tables:
            for statement in (
                f"UPDATE {table.name} AS t SET {table.owner} = t.{table.owner} WHERE {{}}",
                f"DELETE FROM {table.name} AS t WHERE {{}}",
                f"SELECT 1 FROM {table.name} AS t WHERE {{}} FOR UPDATE",
            ):
                query = statement.format(f"t.{table.owner} = $1")
                stranger = both.theirs.owned(table)
                if await refused(work.connection, query, stranger):
                    continue
                assert (await work.connection.execute(query, stranger)).endswith(" 0"), query
                for row in yours[table.name]:
                    query = statement.format(matches(table))
                    assert (await work.connection.execute(query, row)).endswith(" 0"), query


async def test_deleting_everything_deletes_only_what_is_ours(both: Both) -> None:
    """Including what a cascade reaches, which does not ask the policies."""
    async with both.attack() as work:
        for table in both.tables:
            # The log and the usage may not be deleted from, nor an organization's last owner.
            query = f"DELETE FROM {table.name}"
            if not await refused(work.connection, query, also=asyncpg.CheckViolationError):
                await work.connection.execute(query)
    remaining = {name for name, rows in (await both.rows(both.ours)).items() if rows}
    assert remaining == {"audit_log"}


def combinations(
    key: asyncpg.Record, owner: str, mine: dict[str, Any], yours: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Give values for a foreign key that lead to a row of theirs, the owner's column as is."""
    for row in yours:
        values = {
            column: row[referred]
            for column, referred in zip(key["columns"], key["referred_columns"], strict=True)
            if column != owner
        }
        if values and any(mine[column] != value for column, value in values.items()):
            yield values


async def test_no_foreign_key_leads_to_others(both: Both) -> None:
    """By update and by insertion; a key of the owner alone is refused as the owner is."""
    mine, yours = await both.rows(both.ours), await both.rows(both.theirs)
    tables = {table.name: table for table in both.tables}
    tried: set[tuple[str, str]] = set()
    async with both.attack() as work:
        for key in await work.connection.fetch(FOREIGN_KEYS):
            table = tables.get(key["referring"])
            route = (key["referring"], key["referred"])
            if table is None or route in HARMLESS:
                continue
            row = mine[table.name][0]
            for values in combinations(key, table.owner, row, yours[key["referred"]]):
                changed = row | values
                sets = ", ".join(
                    f"{column} = (jsonb_populate_record(NULL::{table.name}, $2)).{column}"
                    for column in values
                )
                with pytest.raises(asyncpg.ForeignKeyViolationError) as told:
                    async with undone(work.connection):
                        await work.connection.execute(
                            f"UPDATE {table.name} AS t SET {sets} WHERE {matches(table)}",
                            row,
                            changed,
                        )
                assert "already" not in str(told.value)
                with pytest.raises(asyncpg.ForeignKeyViolationError):
                    async with undone(work.connection):
                        await work.connection.execute(
                            f"DELETE FROM {table.name} AS t WHERE {matches(table)}", row
                        )
                        await insert(work.connection, table, changed)
                tried.add(route)
    assert {("chunks", "documents"), ("documents", "sources"), ("jobs", "jobs")} <= tried
    assert {("workspace_roles", "members"), ("api_keys", "workspaces")} <= tried


async def test_the_foreign_keys_that_lead_elsewhere_give_nothing_away(both: Both) -> None:
    """A member row may name their person: their rows stay closed, and the name is ours."""
    async with both.attack() as work:
        await work.connection.execute(
            "INSERT INTO members (org_id, user_id, email, name, role)"
            " VALUES ($1, $2, 'guess@example', 'guess', 'viewer')",
            both.ours.org_id,
            both.theirs.user_id,
        )
        row = await work.connection.fetchrow(
            "SELECT member.name, users.email, users.password_hash, sessions.token_hash"
            " FROM members AS member LEFT JOIN users USING (user_id)"
            " LEFT JOIN sessions USING (user_id) WHERE member.user_id = $1",
            both.theirs.user_id,
        )
    assert row is not None
    assert tuple(row) == ("guess", None, None, None)


async def test_unique_keys_of_others_neither_yield_nor_tell(both: Both) -> None:
    """ON CONFLICT cannot reach a row of theirs, and an error repeats only what was sent."""
    mine, yours = await both.rows(both.ours), await both.rows(both.theirs)
    tried: set[str] = set()
    async with both.attack() as work:
        for table in both.tables:
            for key in await work.connection.fetch(UNIQUE_KEYS, table.name):
                if table.owner in key["columns"]:
                    continue
                tried.add(table.name)
                target = f"({', '.join(key['columns'])})"
                if key["condition"]:
                    target += f" WHERE {key['condition']}"
                taken = {column: yours[table.name][0][column] for column in key["columns"]}
                row = fresh(mine[table.name][0], table.primary_key) | taken
                row[table.owner] = str(both.ours.owned(table))
                async with undone(work.connection):
                    if table.primary_key == [table.owner]:
                        # The owner's one row would be in the way.
                        await work.connection.execute(f"DELETE FROM {table.name}")
                    await conflict(work.connection, table, row, target)
    assert tried == {
        "api_keys", "identities", "invitations", "password_resets", "sessions", "users",
    }  # fmt: skip


async def conflict(connection: Connection, table: Table, row: dict[str, Any], target: str) -> None:
    """Insert a row whose key is taken by others, in every way there is."""
    with pytest.raises(asyncpg.UniqueViolationError) as told:
        async with undone(connection):
            await insert(connection, table, row)
    assert told.value.detail is None
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with undone(connection):
            await insert(
                connection,
                table,
                row,
                then=f"ON CONFLICT {target} DO UPDATE SET {table.owner} = excluded.{table.owner}",
            )
    async with undone(connection):
        tag = await insert(connection, table, row, then=f"ON CONFLICT {target} DO NOTHING")
        assert tag == "INSERT 0 0"


async def test_merge_meets_only_own_rows(both: Both) -> None:
    async with both.attack() as work:
        for table in both.tables:
            query = (
                f"MERGE INTO {table.name} AS t USING (SELECT $1::uuid AS id) AS wanted"
                f" ON t.{table.owner} = wanted.id WHEN MATCHED THEN DELETE"
            )
            stranger = both.theirs.owned(table)
            try:
                async with undone(work.connection):
                    assert await work.connection.execute(query, stranger) == "MERGE 0"
            except asyncpg.InsufficientPrivilegeError:
                continue
