"""The audit log is exported whole, in pieces, and safely for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from muniment.db import Database, OrgId, TenantScope, new_id
from muniment.tenancy.audit.export import BATCH, as_csv, begin_export
from muniment.tenancy.audit.listing import AuditFilter
from muniment.tenancy.audit.record import record
from muniment.tenancy.audit.schemas import AuditEntry, ExportFormat
from tests.tenancy.audit.conftest import entries, fill


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
