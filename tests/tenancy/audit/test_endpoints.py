"""The audit log over HTTP."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from muniment.db import Database, Role, TenantScope
from muniment.tenancy.audit.export import BATCH
from muniment.tenancy.audit.record import record
from tests.app.conftest import application, client_of
from tests.tenancy.audit.conftest import fill
from tests.tenancy.keys.conftest import bearer, make_key

LOG = "/v1/audit-log"
EXPORT = f"{LOG}/export"


@pytest.fixture
async def client(database: Database, scope: TenantScope) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an admin's key, whose making is the first entry of the log."""
    made = await make_key(database, scope, Role.ADMIN)
    async with client_of(application(database)) as client:
        client.headers.update(bearer(made))
        yield client


async def test_the_log_is_paged_and_filtered(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        await record(work, "member.joined", target_type="member", target_id="m")
    page = (await client.get(LOG, params={"limit": 1})).json()
    assert [entry["action"] for entry in page["items"]] == ["member.joined"]
    rest = (await client.get(LOG, params={"cursor": page["next_cursor"]})).json()
    assert [entry["action"] for entry in rest["items"]] == ["api_key.created"]
    assert rest["next_cursor"] is None
    at = page["items"][0]["at"]
    for parameters, count in [
        ({"actor": "test"}, 2),
        ({"action": "member.joined"}, 1),
        ({"target_type": "api_key"}, 1),
        ({"target_id": "m"}, 1),
        ({"since": at}, 1),
        ({"until": at}, 1),
        ({"since": at, "until": at}, 0),
        ({"actor": "nobody"}, 0),
        ({"until": "9999-12-31T23:59:59-12:00"}, 2),
        ({"until": "0001-01-01T00:00:00+12:00"}, 0),
        ({"since": "0001-01-01T00:00:00+12:00"}, 2),
    ]:
        listed = (await client.get(LOG, params=parameters)).json()["items"]
        exported = (await client.get(EXPORT, params=parameters)).text.splitlines()
        for entries in (listed, [json.loads(line) for line in exported]):
            made = [entry for entry in entries if entry["action"] != "audit_log.exported"]
            assert len(made) == count, parameters


@pytest.mark.parametrize(
    "wrong",
    [
        "limit=0",
        "limit=101",
        "cursor=x",
        "action=no.such",
        "actor=",
        "target_type=A",
        "since=soon",
        "target_id=%00",
    ],
)
async def test_a_wrong_filter_is_told_so(client: httpx.AsyncClient, wrong: str) -> None:
    assert (await client.get(f"{LOG}?{wrong}")).status_code in {400, 422}


async def test_the_export_is_a_download(client: httpx.AsyncClient) -> None:
    lines = await client.get(EXPORT)
    assert lines.headers["content-type"] == "application/jsonl; charset=utf-8"
    assert lines.headers["content-disposition"] == 'attachment; filename="audit-log.jsonl"'
    table = await client.get(EXPORT, params={"format": "csv"})
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.headers["content-disposition"] == 'attachment; filename="audit-log.csv"'
    rows = list(csv.DictReader(io.StringIO(table.text, newline="")))
    # The first export was recorded, and is in the second.
    assert [row["action"] for row in rows] == ["audit_log.exported", "api_key.created"]
    assert json.loads(rows[1]["after"])["role"] == "admin"
    assert (await client.get(EXPORT, params={"format": "xlsx"})).status_code == 422


async def test_a_long_export_comes_in_pieces(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    await fill(database, scope, 2 * BATCH)
    answer = await client.get(EXPORT, headers={"Accept-Encoding": "identity"})
    lines = answer.text.splitlines()
    assert len(lines) == 2 * BATCH + 1
    assert len({json.loads(line)["id"] for line in lines}) == len(lines)


async def test_who_may_not_read_the_log(
    client: httpx.AsyncClient, database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        workspace_id = await work.connection.fetchval("SELECT workspace_id FROM workspaces")
    refused = [
        await make_key(database, scope, Role.EDITOR),
        await make_key(database, scope, Role.OWNER, workspace_id=workspace_id),
    ]
    stranger = await make_key(database, other_scope, Role.OWNER)
    for path in (LOG, EXPORT):
        for key in refused:
            assert (await client.get(path, headers=bearer(key))).status_code == 403
        assert str(stranger.id) not in (await client.get(path)).text
        theirs = (await client.get(path, headers=bearer(stranger))).text
        assert str(stranger.id) in theirs
        assert str(refused[0].id) not in theirs
