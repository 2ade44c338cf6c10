"""Results as files over HTTP, read back by others' readers."""

from __future__ import annotations

import csv
import io
import zipfile
from decimal import Decimal
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
import python_calamine

from muniment.db import Database, TenantScope
from tests.reconcile.reconciled import Entry, Found, Reconciled, make_reconciled
from tests.reconcile.review.conftest import key_of

LEFT = [
    Entry({"id": "=1+1", "name": "@cmd"}, "=1+1"),
    Entry({"id": "-5,20", "name": "b"}, "-5,20"),
    Entry({"id": "L3", "name": "c"}, "L3"),
    Entry({"id": "L4", "name": "d"}, "L4"),
    Entry({"id": "L5", "name": "e"}, "L5"),
]
RIGHT = [Entry({"no": f"R{n}", "name": f"right {n}"}, f"R{n}") for n in range(1, 5)]
MATCH_HEAD = [
    "left_row", "right_row", "left_id", "right_id", "amount", "confidence", "status", "stage",
    "explanation",
]  # fmt: skip


@pytest.fixture
async def some(database: Database, scope: TenantScope) -> Reconciled:
    found = [
        Found(1, 1, confidence=1.0, stage="exact", amount=Decimal("12345678901234567.89")),
        Found(2, 2, confidence=0.8, amount=Decimal("-3.50")),
        Found(3, 3, "review", 0.4),
    ]
    offsets = [{"side": "left", "row": 4, "other_row": 5, "confidence": 0.9}]
    made = await make_reconciled(
        database, scope, LEFT, RIGHT, found, offsets=offsets, compared=[("id", "no")]
    )
    alternatives = [{"left_row": 3, "right_row": 4, "confidence": 0.3}]
    async with database.unit_of_work(scope) as work:
        await work.connection.execute(
            "UPDATE matches SET alternatives = $2 WHERE match_id = $1",
            made.matches[2],
            alternatives,
        )
    return made


async def exported(client: httpx.AsyncClient, of: Reconciled, **params: Any) -> httpx.Response:
    response = await client.get(f"/v1/reconciliations/{of.id}/export", params=params)
    assert response.status_code == 200, response.text
    return response


def of_csv(response: httpx.Response) -> list[list[str]]:
    assert response.headers["content-type"].startswith("text/csv")
    return list(csv.reader(io.StringIO(response.text, newline="")))


def of_xlsx(response: httpx.Response) -> list[list[Any]]:
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(response.content))
    return book.get_sheet_by_index(0).to_python()


async def test_the_matches_file_has_exactly_these_columns(
    client: httpx.AsyncClient, some: Reconciled
) -> None:
    response = await exported(client, some)
    head, *rows = of_csv(response)
    assert head == MATCH_HEAD
    explanation = "name / party: Müller GmbH ≈ Mueller (+6.1)"
    assert rows == [
        ["1", "1", "'=1+1", "R1", "12345678901234567.89", "1", "matched", "exact", explanation],
        ["2", "2", "-5,20", "R2", "-3.50", "0.8", "matched", "probabilistic", explanation],
        ["3", "3", "L3", "R3", "", "0.4", "review", "probabilistic", explanation],
    ]
    name = response.headers["content-disposition"]
    assert name.startswith("attachment; filename*=UTF-8''reconciliation%20")
    assert name.endswith("%20matches.csv")
    raw = of_csv(await exported(client, some, raw=True))
    assert raw[1][2] == "=1+1"


async def test_parquet_keeps_types_and_exact_amounts(
    client: httpx.AsyncClient, some: Reconciled
) -> None:
    table = pq.read_table(io.BytesIO((await exported(client, some, format="parquet")).content))
    assert table.column_names == MATCH_HEAD
    rows = table.to_pylist()
    assert [row["left_row"] for row in rows] == [1, 2, 3]
    assert [row["amount"] for row in rows] == [
        Decimal("12345678901234567.89"), Decimal("-3.5"), None,
    ]  # fmt: skip
    assert rows[0]["left_id"] == "=1+1"


async def test_a_spreadsheet_calculates_nothing(
    client: httpx.AsyncClient, some: Reconciled
) -> None:
    response = await exported(client, some, format="xlsx")
    head, *rows = of_xlsx(response)
    assert head == MATCH_HEAD
    assert [row[2] for row in rows] == ["=1+1", "-5,20", "L3"]
    # More digits than a number of a spreadsheet holds stay text.
    assert [row[4] for row in rows] == ["12345678901234567.89", -3.5, ""]
    with zipfile.ZipFile(io.BytesIO(response.content)) as parts:
        sheet = parts.read("xl/worksheets/sheet1.xml")
    assert b"<v>-3.5</v>" in sheet
    assert b"<f>" not in sheet


async def test_review_shows_both_records_and_what_else_was_considered(
    client: httpx.AsyncClient, some: Reconciled
) -> None:
    head, row = of_csv(await exported(client, some, what="review"))
    assert head[len(MATCH_HEAD) :] == [
        "alternatives", "left: id", "left: name", "right: no", "right: name",
    ]  # fmt: skip
    assert row[len(MATCH_HEAD) :] == ["R4 (0.30)", "L3", "c", "R3", "right 3"]


async def test_unmatched_records_with_all_their_cells(
    client: httpx.AsyncClient, some: Reconciled
) -> None:
    head, *rows = of_csv(await exported(client, some, what="unmatched"))
    assert head == ["side", "row", "id", "status", "offset_row", "id (2)", "name", "no"]
    assert rows == [
        ["left", "3", "L3", "review", "", "L3", "c", ""],
        ["left", "4", "L4", "offset", "5", "L4", "d", ""],
        ["left", "5", "L5", "offset", "4", "L5", "e", ""],
        ["right", "3", "R3", "review", "", "", "right 3", "R3"],
        ["right", "4", "R4", "unmatched", "", "", "right 4", "R4"],
    ]


async def test_golden_records(client: httpx.AsyncClient, some: Reconciled) -> None:
    for written_as in ("csv", "xlsx", "parquet"):
        response = await exported(client, some, what="golden", format=written_as)
        if written_as == "parquet":
            table = pq.read_table(io.BytesIO(response.content))
            head, rows = table.column_names, [list(row.values()) for row in table.to_pylist()]
        else:
            head, *rows = of_csv(response) if written_as == "csv" else of_xlsx(response)
        assert head == ["cluster_id", "records", "id", "name", "name (right)"]
        assert len(rows) == 7
        both = next(row for row in rows if row[3] == "b")
        assert int(both[1]) == 2
        assert both[2:] == ["-5,20", "b", "right 2"]


async def test_of_one_dataset_pairs_have_a_cluster(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    found = [Found(1, 2), Found(1, 3)]
    made = await make_reconciled(database, scope, 4, None, found, kind="duplicates")
    head, *rows = of_csv(await exported(client, made))
    assert head == [*MATCH_HEAD, "cluster_id"]
    assert len({row[-1] for row in rows}) == 1
    head, *rows = of_csv(await exported(client, made, what="golden"))
    assert sorted(row[1] for row in rows) == ["1", "3"]


async def test_many_batches_are_one_file(
    client: httpx.AsyncClient,
    database: Database,
    scope: TenantScope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("muniment.reconcile.exports.tables._BATCH", 7)
    monkeypatch.setattr("muniment.reconcile.exports.tables._CLUSTERS", 7)
    found = [Found(n, n, "review" if n % 2 else "matched", 0.5) for n in range(1, 22)]
    made = await make_reconciled(database, scope, 28, 21, found)
    expected = {"matches": 21, "review": 11, "unmatched": 11 + 7 + 11, "golden": 49 - 10}
    for what, count in expected.items():
        rows = [tuple(row) for row in of_csv(await exported(client, made, what=what))[1:]]
        assert len(rows) == len(set(rows)) == count
        response = await exported(client, made, what=what, format="parquet")
        table = pq.read_table(io.BytesIO(response.content))
        assert table.num_rows == count


async def test_nothing_to_export_is_a_file_with_a_head(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    made = await make_reconciled(database, scope, 0, 0, [])
    assert of_csv(await exported(client, made)) == [MATCH_HEAD]
    assert of_xlsx(await exported(client, made, format="xlsx")) == [MATCH_HEAD]
    response = await exported(client, made, format="parquet")
    assert pq.read_table(io.BytesIO(response.content)).column_names == MATCH_HEAD


async def test_exports_are_audited_and_others_have_none(
    client: httpx.AsyncClient,
    database: Database,
    scope: TenantScope,
    other_scope: TenantScope,
    some: Reconciled,
) -> None:
    await exported(client, some, what="golden", format="xlsx")
    theirs = await key_of(database, other_scope)
    response = await client.get(f"/v1/reconciliations/{some.id}/export", headers=theirs)
    assert (response.status_code, response.json()["code"]) == (404, "reconciliation_not_found")
    async with database.unit_of_work(scope) as work:
        rows = await work.connection.fetch(
            "SELECT target_id, after FROM audit_log WHERE action = 'reconciliation.exported'"
        )
    assert [(row["target_id"], row["after"]) for row in rows] == [
        (str(some.id), {"what": "golden", "format": "xlsx"})
    ]
