"""The audit log: written once, listed by whatever one looks for, exported whole and safely."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import asyncpg
import msgspec
import pytest

from muniment.db import Database, OrgId, TenantScope, load_statements, new_id, observe_statements
from muniment.tenancy.audit.actions import MEANINGS, AuditAction
from muniment.tenancy.audit.export import BATCH, as_csv, begin_export
from muniment.tenancy.audit.listing import AuditFilter, list_entries
from muniment.tenancy.audit.record import record, record_by_operator, time_of
from muniment.tenancy.audit.schemas import AuditEntry, ExportFormat
from tests.tenancy.plans import PlanOf

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


def test_each_action_is_documented() -> None:
    assert list(MEANINGS) == list(get_args(AuditAction))


async def test_an_entry_tells_who_did_what_to_what_from_where(
    database: Database, scope: TenantScope
) -> None:
    caller = replace(scope, actor="user:1", address="192.0.2.7")
    started = datetime.now(UTC) - timedelta(milliseconds=1)
    async with database.unit_of_work(caller) as work:
        await record(
            work,
            "organization.changed",
            target_type="organization",
            target_id="o",
            before={"name": "Old"},
            after={"name": "New"},
        )
    (entry,) = await entries(database, scope)
    assert started <= entry.at <= datetime.now(UTC)
    assert entry == AuditEntry(
        id=entry.id,
        at=time_of(entry.id),
        actor="user:1",
        action="organization.changed",
        target_type="organization",
        target_id="o",
        address="192.0.2.7",
        before={"name": "Old"},
        after={"name": "New"},
    )


async def test_an_entry_is_rolled_back_with_its_deed(
    database: Database, scope: TenantScope
) -> None:
    with pytest.raises(RuntimeError):
        async with database.unit_of_work(scope) as work:
            await record(work, "member.removed", target_type="member", target_id="m")
            raise RuntimeError
    assert await entries(database, scope) == []


async def test_an_unknown_action_is_refused(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        with pytest.raises(ValueError, match="no_such"):
            await record(work, "no_such.action", target_type="thing")  # type: ignore[arg-type]


async def test_the_operator_writes_into_the_organization_s_log(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    async with database.operator() as work:
        await record_by_operator(
            work,
            "operator:1",
            scope.org_id,
            "organization.suspended",
            address="192.0.2.9",
            after={"because": "unpaid"},
        )
    (entry,) = await entries(database, scope)
    assert (entry.actor, entry.target_type, entry.target_id, entry.address) == (
        "operator:1",
        "organization",
        str(scope.org_id),
        "192.0.2.9",
    )
    assert await entries(database, other_scope) == []


async def test_pages_are_newest_first_and_complete(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        for number in range(7):
            await record(work, "api_key.created", target_type="api_key", target_id=str(number))
    for limit in (1, 3, 7, 100):
        found = await entries(database, scope, limit=limit)
        assert [entry.target_id for entry in found] == list("6543210")


async def test_filters_combine(database: Database, scope: TenantScope) -> None:
    deeds: list[tuple[str, AuditAction, str, str]] = [
        ("user:1", "api_key.created", "api_key", "k1"),
        ("user:2", "api_key.created", "api_key", "k2"),
        ("user:1", "api_key.revoked", "api_key", "k1"),
        ("user:1", "member.removed", "member", "m"),
    ]
    for actor, action, target_type, target_id in deeds:
        async with database.unit_of_work(replace(scope, actor=actor)) as work:
            await record(work, action, target_type=target_type, target_id=target_id)
    newest = (await entries(database, scope))[0].at
    hour = timedelta(hours=1)
    for wanted, expected in [
        (AuditFilter(), [3, 2, 1, 0]),
        (AuditFilter(actor="user:1"), [3, 2, 0]),
        (AuditFilter(actor="user:1", target_type="api_key"), [2, 0]),
        (AuditFilter(actor="user:1", action="api_key.created"), [0]),
        (AuditFilter(actor="user:1", action="api_key.created", target_type="member"), []),
        (AuditFilter(action="api_key.created"), [1, 0]),
        (AuditFilter(action="api_key.created", target_type="api_key"), [1, 0]),
        (AuditFilter(target_type="api_key"), [2, 1, 0]),
        (AuditFilter(target_id="k1"), [2, 0]),
        (AuditFilter(target_id="k1", action="api_key.revoked"), [2]),
        (AuditFilter(target_id="k1", target_type="member"), []),
        (AuditFilter(target_id="k2", actor="user:1"), []),
        (AuditFilter(since=newest - hour), [3, 2, 1, 0]),
        (AuditFilter(since=newest + timedelta(milliseconds=1)), []),
        (AuditFilter(since=newest + timedelta(microseconds=1)), []),
        (AuditFilter(until=newest - hour), []),
        (AuditFilter(until=newest + timedelta(microseconds=1)), [3, 2, 1, 0]),
        (AuditFilter(until=datetime(1, 1, 1, tzinfo=UTC)), []),
        (AuditFilter(until=datetime(9999, 12, 31, tzinfo=UTC)), [3, 2, 1, 0]),
        (AuditFilter(since=newest - hour, until=newest + hour, target_id="m"), [3]),
    ]:
        for limit in (1, 100):
            found = await entries(database, scope, wanted, limit)
            assert [(one.actor, one.action, one.target_type, one.target_id) for one in found] == [
                deeds[index] for index in expected
            ], wanted
    assert newest in {one.at for one in await entries(database, scope, AuditFilter(since=newest))}


async def test_f01_the_listing_is_one_statement(database: Database, scope: TenantScope) -> None:
    await fill(database, scope, 60)
    names: list[str] = []
    async with database.unit_of_work(scope) as work:
        with observe_statements(lambda name, _seconds, _error: names.append(name)):
            page = await list_entries(work, AuditFilter(), limit=50, cursor=None, secret=SECRET)
    assert len(page.items) == 50
    assert names == ["tenancy.audit.list_entries"]


# --- append-only ----------------------------------------------------------------------------------

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


# --- plans ----------------------------------------------------------------------------------------

FILTERS: dict[str, tuple[dict[str, str], str]] = {
    "list_entries": ({}, "audit_log_pkey"),
    "list_entries_by_actor": ({"actor": "user:3"}, "audit_log_by_actor"),
    "list_entries_by_action": ({"action": "member.removed"}, "audit_log_by_action"),
    "list_entries_by_actor_and_action": (
        {"actor": "user:3", "action": "member.removed"},
        "audit_log_by_actor_and_action",
    ),
    "list_entries_by_target": ({"target_id": "target 77"}, "audit_log_by_target"),
    "list_entries_by_target_type": ({"target_type": "member"}, "audit_log_by_target_type"),
}
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


async def test_f03_no_listing_reads_more_than_it_shows(
    clone: Any, database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    """100,000 entries of ours, and some of another organization with the same values."""
    await fill(database, other_scope, 20_000)
    await fill(database, scope, 100_000)
    owner = await asyncpg.connect(clone.installation.owner_dsn)
    await owner.execute("ANALYZE audit_log")
    await owner.close()
    statements = load_statements("muniment.tenancy.audit")
    values = {
        "actor": None,
        "action": None,
        "target_type": None,
        "target_id": None,
        "before": UUID(int=2**128 - 1),
        "since": UUID(int=0),
        "limit": 51,
    }
    for name, (wanted, index) in FILTERS.items():
        for generic in (False, True):
            async with database.unit_of_work(scope) as work:
                plan = PlanOf(work, "audit_log", generic=generic)
                await getattr(statements, name)(plan, **(values | wanted))
            assert {used for _, used in plan.scans} == {index}, (name, plan.nodes)
            assert plan.rows_read <= 51, (name, plan.nodes)


# --- export ---------------------------------------------------------------------------------------


async def exported(
    database: Database, scope: TenantScope, written_as: ExportFormat, **wanted: Any
) -> list[bytes]:
    pieces = await begin_export(database, scope, AuditFilter(**wanted), written_as)
    return [piece async for piece in pieces]


async def test_the_export_holds_every_entry_once(database: Database, scope: TenantScope) -> None:
    count = 2 * BATCH + 3
    await fill(database, scope, count)
    listed = await entries(database, scope)
    pieces = await exported(database, scope, ExportFormat.JSONL)
    assert [piece.count(b"\n") for piece in pieces] == [BATCH, BATCH, 3]
    lines = b"".join(pieces).splitlines()
    assert [msgspec.json.decode(line, type=AuditEntry) for line in lines] == listed
    async with database.unit_of_work(scope) as work:
        assert await work.connection.fetchval("SELECT count(*) FROM audit_log") == count + 1


async def test_an_export_of_whole_batches_ends(database: Database, scope: TenantScope) -> None:
    await fill(database, scope, BATCH)
    pieces = await exported(database, scope, ExportFormat.JSONL)
    assert b"".join(pieces).count(b"\n") == BATCH


async def test_an_empty_export_is_empty(database: Database, scope: TenantScope) -> None:
    assert await exported(database, scope, ExportFormat.JSONL) == []
    (header,) = await exported(database, scope, ExportFormat.CSV, actor="nobody")
    assert header.startswith(b'"id","at","actor",')


async def test_an_export_is_recorded_with_its_filters(
    database: Database, scope: TenantScope
) -> None:
    await exported(
        database, scope, ExportFormat.CSV, actor="user:1", since=datetime(2026, 1, 1, tzinfo=UTC)
    )
    (entry,) = await entries(database, scope)
    assert entry.action == "audit_log.exported"
    assert entry.after == {"format": "csv", "actor": "user:1", "since": "2026-01-01T00:00:00Z"}


async def test_an_export_holds_no_connection_between_batches(
    clone: Any, scope: TenantScope
) -> None:
    async with clone.open(pool_size=1, acquire_timeout=0.5) as database:
        await fill(database, scope, BATCH + 1)
        pieces = await begin_export(database, scope, AuditFilter(), ExportFormat.JSONL)
        first = await anext(pieces)
        assert database.pool.get_idle_size() == 1
        # What is recorded meanwhile is not in it.
        async with database.unit_of_work(scope) as work:
            await record(work, "member.joined", target_type="member")
        rest = [piece async for piece in pieces]
    assert first.count(b"\n") == BATCH
    assert b"".join(rest).count(b"\n") == 1


FORMULAS = [
    '=HYPERLINK("http://evil.test","x")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    "\uff1d1",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_spreadsheet_takes_no_cell_for_a_formula(text: str) -> None:
    entry = AuditEntry(
        id=new_id(),
        at=datetime.now(UTC),
        actor=text,
        action="api_key.created",
        target_type="api_key",
        target_id=text,
        address=text,
        before={"name": f'"; {text}'},
        after={text: f";{text}"},
    )
    written = as_csv([entry]).decode()
    (cells,) = csv.reader(io.StringIO(written, newline=""))
    assert cells[2] == cells[5] == cells[6] == f"'{text}"
    for cell in cells:
        assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
    assert json.loads(cells[7]) == entry.before
    assert json.loads(cells[8]) == entry.after
    # Read with the other separator, no text begins a cell in the middle of a value either.
    assert ";" not in cells[7] + cells[8]


async def test_the_csv_holds_what_the_log_holds(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(replace(scope, address="2001:db8::1")) as work:
        await record(
            work,
            "organization.changed",
            target_type="organization",
            before={"name": 'Çelik, "Söhne"\n'},
            after={"name": "x"},
        )
    (entry,) = await entries(database, scope)
    written = b"".join(await exported(database, scope, ExportFormat.CSV)).decode()
    header, row = csv.reader(io.StringIO(written, newline=""))
    told = dict(zip(header, row, strict=True))
    assert told == {
        "id": str(entry.id),
        "at": entry.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "actor": "test",
        "action": "organization.changed",
        "target_type": "organization",
        "target_id": "",
        "address": "2001:db8::1",
        "before": msgspec.json.encode(entry.before).decode(),
        "after": '{"name":"x"}',
    }


async def test_an_organization_exports_its_own_log_only(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    await fill(database, other_scope, 3)
    assert await exported(database, scope, ExportFormat.JSONL) == []
    stranger = replace(scope, org_id=OrgId(new_id()))
    assert await exported(database, stranger, ExportFormat.JSONL) == []
