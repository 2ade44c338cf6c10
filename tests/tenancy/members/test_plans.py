"""Listings read what they show, however many members an organization has."""

from __future__ import annotations

from uuid import UUID

from muniment.db import Database, Role, TenantScope, load_statements
from tests.tenancy.plans import PlanOf

statements = load_statements("muniment.tenancy.members")

FILL = """
WITH people AS (
    INSERT INTO users (user_id, email, name)
    SELECT gen_random_uuid(), 'p' || n || '@example.org', 'P' FROM generate_series(1, 100000) n
    RETURNING user_id, email
), joined AS (
    INSERT INTO members (org_id, user_id, email, name, role)
    SELECT $1, user_id, email, 'P', 'editor' FROM people
), made AS (
    INSERT INTO workspaces (org_id, workspace_id, name)
    SELECT $1, gen_random_uuid(), 'w' || n FROM generate_series(1, 20000) n
)
INSERT INTO invitations (
    org_id, invitation_id, email, role, token_hash, invited_by, expires_at, accepted_at
)
SELECT
    $1, gen_random_uuid(), 'i' || n || '@example.org', 'viewer', sha256(n::text::bytea), 'test',
    now(), CASE WHEN n % 10 > 0 THEN now() END
FROM generate_series(1, 50000) n
"""

MIDDLE = UUID(int=2**127)
PARAMETERS = {
    "list_members": ("members", {"after": MIDDLE, "workspace_id": None}),
    "list_workspaces": ("workspaces", {"after": MIDDLE}),
    "list_invitations": ("invitations", {"before": MIDDLE}),
}


async def test_no_listing_reads_more_than_a_page(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    async with database.operator() as work:
        await work.connection.execute(FILL, scope.org_id)
        await work.connection.execute(
            "INSERT INTO workspace_roles SELECT org_id, (SELECT min(workspace_id::text)::uuid"
            " FROM workspaces), user_id, $1 FROM members LIMIT 5000",
            Role.VIEWER.value,
        )
    async with database.operator() as work:
        await work.connection.execute("ANALYZE members, workspaces, invitations, workspace_roles")
    for name, (table, parameters) in PARAMETERS.items():
        for generic in (False, True):
            async with database.unit_of_work(scope) as work:
                plan = PlanOf(work, table, generic=generic)
                await getattr(statements, name)(plan, limit=51, **parameters)
            assert plan.rows_read <= 60, (name, plan.scans)
            assert {kind for kind, _index in plan.scans} <= {"Index Scan", "Index Only Scan"}
    async with database.unit_of_work(scope) as work:
        plan = PlanOf(work, "workspace_roles", generic=True)
        await statements.list_members(plan, limit=51, **PARAMETERS["list_members"][1])
    assert "Seq Scan" not in {kind for kind, _index in plan.scans}
