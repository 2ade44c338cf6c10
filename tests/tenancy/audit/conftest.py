"""Reading and filling the audit log."""

from __future__ import annotations

from muniment.db import Database, TenantScope
from muniment.tenancy.audit.listing import AuditFilter, list_entries
from muniment.tenancy.audit.schemas import AuditEntry

SECRET = b"a secret of the tests"


async def entries(
    database: Database, scope: TenantScope, wanted: AuditFilter | None = None, limit: int = 100
) -> list[AuditEntry]:
    """All pages of the log."""
    found: list[AuditEntry] = []
    cursor = None
    while True:
        async with database.unit_of_work(scope, read_only=True) as work:
            page = await list_entries(
                work, wanted or AuditFilter(), limit=limit, cursor=cursor, secret=SECRET
            )
        assert len(page.items) <= limit
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


FILL = """
INSERT INTO audit_log (org_id, entry_id, actor, action, target_type, target_id, before, after)
SELECT
    $1, (lpad(to_hex(1700000000000 + n), 12, '0') || left(md5(n::text), 20))::uuid,
    CASE WHEN n % 500 = 0 THEN 'user:3' ELSE 'api_key:1' END,
    CASE WHEN n % 1000 = 0 THEN 'member.removed' ELSE 'api_key.created' END,
    CASE WHEN n % 1000 = 0 THEN 'member' ELSE 'api_key' END, 'target ' || n % 5000,
    '{"name": "what it was called before"}', '{"name": "what it is called now"}'
FROM generate_series(1, $2::int) AS n
"""


async def fill(database: Database, scope: TenantScope, count: int) -> None:
    async with database.unit_of_work(scope) as work:
        await work.connection.execute(FILL, scope.org_id, count)
