"""The operator's list of organizations: filters, pages, one statement, and fast among many."""

from __future__ import annotations

from uuid import UUID

import httpx
import pytest

from muniment.db import Database, TenantScope, observe_statements
from muniment.tenancy.operators.organizations import (
    OrganizationFilter,
    find_organization,
    list_organizations,
)
from tests.conftest import make_organization
from tests.tenancy.operators.conftest import SECRET

ORGANIZATIONS = 1000
FILL = f"""
INSERT INTO organizations (org_id, name, tier, created_at, suspended_at)
SELECT uuid_at(n), 'Organization ' || n, (ARRAY['free', 'pro', 'enterprise'])[1 + n % 3],
    now() - n * interval '1 hour', CASE WHEN n % 50 = 0 THEN now() END
FROM generate_series(1, {ORGANIZATIONS}) AS n;
INSERT INTO workspaces (org_id, workspace_id, name)
SELECT uuid_at(n), uuid_at(n), 'default' FROM generate_series(1, {ORGANIZATIONS}) AS n;
INSERT INTO sources (org_id, source_id, workspace_id, type, name, location)
SELECT uuid_at(n), uuid_at(n), uuid_at(n), 'upload', 'Uploads', 'upload'
FROM generate_series(1, {ORGANIZATIONS}) AS n;
INSERT INTO documents (
    org_id, document_id, workspace_id, source_id, external_id, title, size_bytes,
    content_hash, status
)
SELECT uuid_at(n), uuid_at(n * 1000 + d), uuid_at(n), uuid_at(n), 'file ' || d, 'File ' || d, 1000,
    sha256('x'), 'embedded'
FROM generate_series(1, {ORGANIZATIONS}) AS n, generate_series(1, 60) AS d;
INSERT INTO users (user_id, email, name)
SELECT uuid_at(u), 'user' || u || '@example.com', 'User ' || u
FROM generate_series(1, {ORGANIZATIONS} * 5) AS u;
INSERT INTO members (org_id, user_id, email, name, role)
SELECT uuid_at(n), uuid_at((n * 5 + m * 7) % ({ORGANIZATIONS} * 5) + 1), 'x@example.com', 'x',
    'editor'
FROM generate_series(1, {ORGANIZATIONS}) AS n, generate_series(1, 12) AS m;
INSERT INTO sessions (user_id, session_id, token_hash, org_id, expires_at)
SELECT user_id, gen_random_uuid(), sha256((org_id::text || user_id)::bytea), org_id,
    now() + interval '1 day'
FROM members;
INSERT INTO api_keys (org_id, api_key_id, name, prefix, hash, role, last_used_at)
SELECT uuid_at(n), uuid_at(k), 'key', 'mun_x', sha256((n || ' ' || k)::bytea), 'editor',
    CASE WHEN k = 1 THEN now() END
FROM generate_series(1, {ORGANIZATIONS}) AS n, generate_series(1, 5) AS k;
ANALYZE organizations, usage, documents, members, sessions, api_keys;
"""
"""Every organization has 60 documents, 12 members, 12 sessions and 5 keys."""
UUID_AT = """
CREATE FUNCTION pg_temp.uuid_at(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN lpad(to_hex(n), 32, '0')::uuid
"""


@pytest.fixture
async def many(database: Database) -> Database:
    """A thousand organizations with realistic rows."""
    async with database.operator() as work:
        await work.connection.execute(UUID_AT)
        await work.connection.execute(FILL.replace("uuid_at(", "pg_temp.uuid_at("))
    return database


async def test_pages_newest_first(operator: httpx.AsyncClient, database: Database) -> None:
    for number in range(5):
        await make_organization(database, f"Organization {number}")
    seen: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        answer = await operator.get("/v1/admin/organizations", params=parameters)
        page = answer.json()
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"Organization {number}" for number in (4, 3, 2, 1, 0)]
    answer = await operator.get("/v1/admin/organizations", params={"cursor": "made up"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


async def test_filters_combine(
    operator: httpx.AsyncClient, scope: TenantScope, other_scope: TenantScope
) -> None:
    await operator.post(f"/v1/admin/organizations/{scope.org_id}/suspend", json={"reason": "x"})
    await operator.patch(f"/v1/admin/organizations/{other_scope.org_id}", json={"tier": "pro"})

    async def names(**wanted: str) -> list[str]:
        answer = await operator.get("/v1/admin/organizations", params=wanted)
        assert answer.status_code == 200, answer.text
        return [item["name"] for item in answer.json()["items"]]

    assert await names() == ["Theirs", "Ours"]
    assert await names(name="OUR") == ["Ours"]
    assert await names(name="%") == []
    assert await names(suspended="true") == ["Ours"]
    assert await names(suspended="false") == ["Theirs"]
    assert await names(tier="pro") == ["Theirs"]
    assert await names(tier="pro", suspended="true") == []
    assert (await operator.get("/v1/admin/organizations?tier=gold")).status_code == 422
    assert (await operator.get("/v1/admin/organizations?limit=101")).status_code == 422


async def test_what_is_told_of_an_organization(many: Database) -> None:
    async with many.operator() as work:
        found = await find_organization(work, UUID(int=7))
    assert (found.name, found.tier, found.suspended_at) == ("Organization 7", "pro", None)
    assert (found.usage.documents, found.usage.bytes, found.usage.members) == (60, 60_000, 12)
    assert found.last_active_at is not None


async def test_list_and_detail_are_one_statement(many: Database) -> None:
    names: list[str] = []
    async with many.operator() as work:
        with observe_statements(lambda name, _seconds, _error: names.append(name)):
            await list_organizations(
                work, OrganizationFilter(), limit=100, cursor=None, secret=SECRET
            )
            await find_organization(work, UUID(int=7))
    assert names == ["tenancy.operators.list_organizations"] * 2


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_page_reads_only_what_it_shows(many: Database, mode: str) -> None:
    async with many.operator() as work:
        await work.connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        await list_organizations(work, OrganizationFilter(), limit=20, cursor=None, secret=SECRET)
        rows = await work.connection.fetch(
            "SELECT relname, seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables"
            " WHERE relname = ANY($1::text[])",
            ["documents", "members", "sessions", "api_keys", "usage"],
        )
    read = {row["relname"]: (row["seq_scan"], row["idx_tup_fetch"]) for row in rows}
    assert {name: scans for name, (scans, _) in read.items() if scans} == {}
    # Of the 21 organizations looked at: the newest document, 12 sessions, 5 keys.
    assert read["documents"][1] <= 21
    assert read["sessions"][1] <= 21 * 12
    assert read["api_keys"][1] <= 21 * 5
