"""What raw SQL offers beside tables: other roles, settings, COPY, statistics, functions.

Row-level security trusts one thing, `muniment.org_id`, which the role of the application can
set for its transaction; everything else that might lead past it is tried here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg
import pytest

from muniment.db.scope import new_id
from muniment.tenancy.secrets import hash_of
from tests.conftest import Clone
from tests.tenancy.filled import Both, Filled, refused, rows_of, undone

DEFINERS = """
SELECT p.oid::regprocedure::text AS signature, p.proname AS name
FROM pg_proc p
WHERE p.prosecdef AND has_function_privilege('muniment_app', p.oid, 'execute')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""

KNOWN_SECRET: dict[str, tuple[str, Callable[[Filled], Any]]] = {
    "api_key_of_caller": ("bytea", lambda of: hash_of(of.secrets["api_key"])),
    "session_by_hash": ("bytea", lambda of: hash_of(of.secrets["session"])),
    "reset_by_hash": ("bytea", lambda of: hash_of(of.secrets["reset"])),
    "invitation_by_hash": ("bytea", lambda of: hash_of(of.secrets["invitation"])),
}
"""Look-ups before it is known who asks: they give the one row of a secret to whoever has it."""
KNOWN_NAME = {"user_by_email", "identity_by_subject"}
"""Look-ups that signing in needs: one row, for an address or a provider's name of a person."""
OF_THE_TRANSACTION = {
    "hold_usage": "hold_usage()",
    "invitations_of_user": "invitations_of_user()",
    "memberships_of_user": "memberships_of_user()",
    "rename_current_user": "rename_current_user('changed')",
    "search_candidates": "search_candidates("
    "'{1}', '{1}', '{1}', 'test-model', '[1,0,0,0,0,0,0,0]', NULL, 100, 1000)",
}
"""Functions that take organization and person from the transaction, as the policies do."""
SILENT = {"touch_api_keys", "touch_sessions", "purge_expired_sessions"}
"""They write times of use or remove what has expired, and return nothing but a number."""
OF_THE_WORKER = {
    "analyze_reconciliations", "analyze_records_once", "cancel_requeued_jobs",
    "claim_jobs", "due_schedules", "finish_jobs", "lane_outlook",
    "promote_due_jobs", "purge_jobs", "put_back_claims", "record_progress", "requeue_jobs",
    "take_over_jobs", "unblock_jobs",
}  # fmt: skip
"""A worker serves every organization; only its role may run these."""
ALL_ALIKE = {"embedding_model"}
"""About names of models, which all organizations share."""


async def test_functions_that_look_past_policies_are_known(both: Both) -> None:
    async with both.database.operator() as work:
        found = [row["name"] for row in await work.connection.fetch(DEFINERS)]
    known = [*KNOWN_SECRET, *KNOWN_NAME, *OF_THE_TRANSACTION, *SILENT, *ALL_ALIKE]
    assert sorted(found) == sorted(known)


async def test_a_look_up_gives_one_row_for_the_right_secret_only(both: Both) -> None:
    async with both.database.system() as work:
        for name, (_type, secret_of) in KNOWN_SECRET.items():
            ours, theirs = secret_of(both.ours), secret_of(both.theirs)
            mine = await work.connection.fetch(f"SELECT * FROM {name}($1)", ours)
            assert len(mine) == 1, name
            assert both.theirs.org_id not in mine[0].values()
            assert both.theirs.user_id not in mine[0].values()
            wrong = (None, b"", theirs[:-1], theirs + b"\0", bytes(32), theirs.hex().encode())
            for secret in wrong:
                assert await work.connection.fetch(f"SELECT * FROM {name}($1)", secret) == []
        for name, arguments in (("user_by_email", 1), ("identity_by_subject", 2)):
            wanted = ["https://issuer", both.theirs.email][2 - arguments :]
            places = ", ".join(f"${number + 1}" for number in range(arguments))
            query = f"SELECT * FROM {name}({places})"
            assert len(await work.connection.fetch(query, *wanted)) == 1
            for text in ("%", "", None, both.theirs.email + " ", both.theirs.email[:-1] + "_"):
                assert await work.connection.fetch(query, *wanted[:-1], text) == []


async def test_functions_of_the_transaction_answer_for_it_alone(both: Both) -> None:
    theirs = _everything_of(both.theirs)
    for name, call in OF_THE_TRANSACTION.items():
        async with both.attack() as work, undone(work.connection):
            rows = await work.connection.fetch(f"SELECT * FROM {call}")
            assert not theirs & _words(rows), name
        async with both.database.system() as work, undone(work.connection):
            rows = [row for row in await work.connection.fetch(f"SELECT * FROM {call}") if row[0]]
            assert rows == [], name


async def test_silent_functions_say_nothing(both: Both) -> None:
    ids = [row["api_key_id"] for row in await _operator_rows(both, "api_keys")]
    hashes = [hash_of(both.theirs.secrets["session"])]
    async with both.attack() as work, undone(work.connection):
        said = [
            await work.connection.fetchval("SELECT touch_api_keys($1)", ids),
            await work.connection.fetchval("SELECT touch_sessions($1)", hashes),
            await work.connection.fetchval("SELECT purge_expired_sessions('1 year')"),
        ]
    assert said == [None, None, 0]


async def test_functions_of_the_worker_are_closed_to_the_application(both: Both) -> None:
    async with both.database.operator() as work:
        rows = await work.connection.fetch(
            "SELECT proname, has_function_privilege('muniment_app', oid, 'EXECUTE') AS app,"
            " has_function_privilege('muniment_worker', oid, 'EXECUTE') AS worker"
            " FROM pg_proc WHERE proname = ANY ($1)",
            list(OF_THE_WORKER),
        )
    assert {row["proname"] for row in rows} == OF_THE_WORKER
    assert {(row["app"], row["worker"]) for row in rows} == {(False, True)}


FORBIDDEN = [
    "SET ROLE muniment_owner",
    "SET ROLE muniment_operator",
    "SET ROLE muniment_definer",
    "SET SESSION AUTHORIZATION muniment_operator",
    "SET session_replication_role = replica",
    "CREATE FUNCTION public.current_org_id() RETURNS uuid LANGUAGE sql RETURN NULL",
    "CREATE TABLE public.shadow (id int)",
    "CREATE OR REPLACE VIEW queue.shadow AS SELECT 1",
    "SELECT fold_lexical_changes(gen_random_uuid())",
    "SELECT protect_tenant_table('documents')",
    "SELECT * FROM lexical_leg('{}/1', '{}', NULL, NULL, 1)",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT * FROM pg_statistic",
    "SELECT * FROM pg_authid",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "SELECT setval('lexical_changes_change_id_seq', 1)",
    "ALTER ROLE muniment_app BYPASSRLS",
    "SELECT * FROM operator_keys",
]


async def test_no_way_into_another_role(both: Both) -> None:
    async with both.attack() as work:
        allowed = [each for each in FORBIDDEN if not await refused(work.connection, each)]
    assert allowed == []


async def test_tables_cannot_be_emptied_altered_or_opened(both: Both) -> None:
    async with both.attack() as work:
        for table in both.tables:
            for statement in (
                f"TRUNCATE {table.name} CASCADE",
                f"ALTER TABLE {table.name} DISABLE ROW LEVEL SECURITY",
                f"CREATE POLICY opened ON {table.name} USING (true)",
                f"CREATE RULE seen AS ON INSERT TO {table.name} DO ALSO NOTHING",
                f"COPY {table.name} TO '/dev/null'",
            ):
                assert await refused(work.connection, statement), statement


async def test_row_security_cannot_be_switched_off(both: Both) -> None:
    async with both.attack() as work:
        for table in both.tables:
            async with undone(work.connection):
                await work.connection.execute("SET LOCAL row_security = off")
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                    await work.connection.fetch(f"SELECT * FROM {table.name}")


async def test_copy_gives_own_rows_and_takes_none(both: Both) -> None:
    async with both.attack() as work:
        for table in both.tables:
            written = io.BytesIO()
            columns = [table.owner]
            schema, _, name = table.name.rpartition(".")
            there: dict[str, Any] = {"schema_name": schema or None, "columns": columns}
            await work.connection.copy_from_table(name, output=written, **there)
            owners = set(written.getvalue().decode().split())
            assert owners == {str(both.ours.owned(table))}, table.name
            with pytest.raises(
                (asyncpg.FeatureNotSupportedError, asyncpg.InsufficientPrivilegeError),
                match=r"row-level security|permission denied",
            ):
                async with undone(work.connection):
                    await work.connection.copy_to_table(name, source=io.BytesIO(b""), **there)


async def test_a_condition_with_side_effects_sees_own_rows_only(both: Both) -> None:
    """A cheap function that tells what it is given is not run before the policy."""
    told: list[str] = []
    async with both.attack() as work:
        await work.connection.execute(
            "CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001"
            " AS $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$"
        )
        work.connection.add_log_listener(lambda _connection, message: told.append(message.message))
        for table in both.tables:
            told.clear()
            await work.connection.execute(
                f"SELECT FROM {table.name} AS t WHERE pg_temp.tell(t.{table.owner}::text)"
            )
            assert set(told) == {str(both.ours.owned(table))}, table.name
            # Casts fail on the first row that they meet, and the message repeats it.
            with pytest.raises(asyncpg.InvalidTextRepresentationError) as error:
                async with undone(work.connection):
                    await work.connection.execute(
                        f"SELECT FROM {table.name} AS t WHERE (t.{table.owner} || 'x')::int > 0"
                    )
            assert str(both.theirs.owned(table)) not in str(error.value)
        await work.connection.execute("DROP FUNCTION pg_temp.tell(text)")
        work.connection._con._log_listeners.clear()


async def test_statistics_of_the_planner_are_closed(both: Both, clone: Clone) -> None:
    """Most common values would name others' titles and addresses."""
    with psycopg.connect(clone.installation.owner_dsn, autocommit=True) as connection:
        connection.execute("ANALYZE")
    query = "SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = 'public'"
    tables = {table.name for table in both.tables}
    async with both.database.operator() as work:
        known = {row[0] for row in await work.connection.fetch(query)}
    assert known & tables
    async with both.attack() as work:
        told = {row[0] for row in await work.connection.fetch(query)}
    assert not told & tables


async def test_a_setting_ends_with_its_transaction(both: Both) -> None:
    """Even one that was made for the connection does not lend itself to the next caller.

    Setting it is possible by design: so much is trusted of the statements in `queries.sql`.
    """
    async with both.attack() as work:
        await work.connection.execute(f"SET LOCAL muniment.org_id = '{both.theirs.org_id}'")
        rows = await work.connection.fetch("SELECT org_id FROM organizations")
        assert [row[0] for row in rows] == [both.theirs.org_id]
    for context in (both.database.system(), both.database.single_statement(), both.attack()):
        async with context as work:
            rows = await work.connection.fetch("SELECT org_id FROM organizations")
            assert both.theirs.org_id not in {row[0] for row in rows}


async def test_a_malformed_setting_opens_nothing(both: Both) -> None:
    async with both.attack() as work:
        for value in ("%", "x", "' OR true --", "null"):
            with pytest.raises(asyncpg.InvalidTextRepresentationError):
                async with undone(work.connection):
                    await work.connection.execute(
                        "SELECT set_config('muniment.org_id', $1, true)", value
                    )
                    await work.connection.fetch("SELECT * FROM organizations")
        for value in ("", str(new_id())):
            async with undone(work.connection):
                await work.connection.execute(
                    "SELECT set_config('muniment.org_id', $1, true)", value
                )
                assert await work.connection.fetch("SELECT * FROM organizations") == []


async def test_a_temporary_table_does_not_stand_in_for_ours(both: Both) -> None:
    """Functions that look past the policies find the schema's tables, not the caller's."""
    async with both.attack() as work, undone(work.connection):
        await work.connection.execute(
            "CREATE TEMP TABLE members AS SELECT $1::uuid AS org_id, $2::uuid AS user_id,"
            " 'owner' AS role, now() AS created_at",
            both.theirs.org_id,
            both.ours.user_id,
        )
        found = await work.connection.fetch("SELECT org_id FROM memberships_of_user()")
        assert [row[0] for row in found] == [both.ours.org_id]


async def _operator_rows(both: Both, name: str) -> list[dict[str, Any]]:
    [table] = [table for table in both.tables if table.name == name]
    return await rows_of(both.database, table, both.theirs.owned(table))


def _everything_of(filled: Filled) -> set[str]:
    ids = [filled.org_id, filled.user_id, filled.document.document_id, *filled.document.chunk_ids]
    return {str(one) for one in ids} | {filled.email, "theirs"}


def _words(rows: list[asyncpg.Record]) -> set[str]:
    return {str(value) for row in rows for value in row.values()}
