"""What the statements about sessions read, where there are many (F3)."""

from __future__ import annotations

import psycopg
import pytest

from muniment.db import Database, UserId, load_statements, new_id
from tests.conftest import Clone
from tests.tenancy.plans import PlanOf

USERS, EACH = 2_000, 60
statements = load_statements("muniment.tenancy.people")


@pytest.fixture
async def user_id(clone: Clone, database: Database) -> UserId:
    """One of 2,000 users with 60 sessions each, of which half have ended."""
    wanted = UserId(new_id())
    with psycopg.connect(clone.installation.owner_dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "INSERT INTO users (user_id, email, name) SELECT"
            " CASE number WHEN 1 THEN %s ELSE gen_random_uuid() END,"
            " number || '@example.com', 'Somebody' FROM generate_series(1, %s) AS number",
            (wanted, USERS),
        )
        connection.execute(
            "INSERT INTO sessions (user_id, session_id, token_hash, expires_at)"
            " SELECT user_id, gen_random_uuid(),"
            " sha256((user_id::text || number)::bytea),"
            " now() + (number - %s) * interval '1 hour'"
            " FROM users, generate_series(1, %s) AS number",
            (EACH // 2, EACH),
        )
        connection.execute("ANALYZE users, sessions")
    return wanted


@pytest.mark.parametrize("generic", [False, True])
async def test_a_persons_sessions_are_found_by_index(
    database: Database, user_id: UserId, generic: bool
) -> None:
    some = "018f0000-0000-7000-8000-000000000000"
    for name, values in {
        "list_sessions": {"idle": "3 days", "after": None, "limit": 51},
        "session_state": {"session_id": some},
        "delete_session": {"session_id": some},
        "delete_sessions": {"keep": some},
        "delete_oldest_sessions": {"keep": 100},
        "tokens_of_user": {},
    }.items():
        async with database.person(user_id) as work:
            plan = PlanOf(work, "sessions", generic=generic)
            await getattr(statements, name)(plan, user_id=user_id, **values)
        kinds = {kind for kind, _ in plan.scans}
        assert kinds, (name, plan.nodes)
        assert "Seq Scan" not in kinds, (name, plan.nodes)
        # Deleting reads what it deletes again.
        assert plan.rows_read <= 3 * EACH, (name, plan.nodes)


async def test_a_person_is_found_by_address_and_a_session_by_token_at_once(
    clone: Clone, user_id: UserId
) -> None:
    """Their functions run as a role of their own, so the plan is looked at as that role's."""
    del user_id
    for table, sql in {
        "users": "SELECT user_id FROM users WHERE email = '77@example.com'",
        "sessions": "SELECT user_id FROM sessions WHERE token_hash = sha256('x')",
    }.items():
        with psycopg.connect(clone.installation.owner_dsn) as connection:
            connection.execute("SET ROLE muniment_definer")
            rows = connection.execute(f"EXPLAIN {sql}").fetchall()
        plan = "\n".join(row[0] for row in rows)
        assert "Index" in plan, plan
        assert f"Seq Scan on {table}" not in plan, plan
