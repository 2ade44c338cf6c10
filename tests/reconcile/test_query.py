"""Records from a query of a real Postgres, and from the documents of a source."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from muniment.db.installation import Installation
from muniment.reconcile.columns import ColumnType, Role
from muniment.reconcile.loading import errors, load, load_parts
from muniment.reconcile.loading.documents import COLUMNS, is_table, load_documents
from muniment.reconcile.loading.query import QueryLimits, load_query
from tests.conftest import cloned


@pytest.fixture(scope="module")
def installation(server: Installation) -> Iterator[Installation]:
    """One database for all: queries leave nothing behind."""
    with cloned(server) as clone:
        yield clone.installation


@pytest.fixture
def dsn(installation: Installation) -> str:
    return installation.owner_dsn


async def test_a_query_is_a_dataset(dsn: str, tmp_path: Path) -> None:
    sql = """
        SELECT 'INV-' || to_char(n, 'FM00000') AS invoice, n * 1.25 AS amount,
               date '2024-01-01' + n AS issued, n % 2 = 0 AS paid,
               CASE WHEN n % 3 > 0 THEN ARRAY['a', 'b'] END AS tags, jsonb_build_object('n', n) AS j
        FROM generate_series(1, 12000) AS n
    """
    fetched = await load_query(dsn, sql, tmp_path / "q.parquet")
    assert fetched.rows == 12_000
    data = load(fetched.path, name="invoices")
    assert data.notes == ("query",)
    assert data["invoice"].role is Role.identifier
    assert data["amount"].type is ColumnType.decimal
    assert data["paid"].type is ColumnType.boolean
    first = data.table.slice(3, 1).to_pylist()[0]
    assert (first["row"], first["amount"], first["issued"]) == (
        4,
        Decimal("5.00"),
        dt.date(2024, 1, 5),
    )
    assert data.original_values(["tags", "j"], [3, 4]) == [
        {"tags": None, "j": '{"n": 3}'},
        {"tags": "a; b", "j": '{"n": 4}'},
    ]


async def test_a_query_and_a_file_are_parts_of_one_dataset(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,n\nAnn,1\nBob,2\n")
    await load_query(dsn, "SELECT 3 AS n, 'Eve' AS name", tmp_path / "q.parquet")
    data = load_parts([tmp_path / "a.csv", tmp_path / "q.parquet"])
    assert data.original_values(["name", "n"], [3]) == [{"name": "Eve", "n": "3"}]


@pytest.mark.parametrize(
    ("sql", "error", "told"),
    [
        ("SELECT 1 AS a,\n  oops FROM nowhere", errors.QueryFailed, "line 2"),
        ("SELECT 1 AS a FROM pg_class,\n\n missing", errors.QueryFailed, "does not exist"),
        ("SELECT 1 AS a; SELECT 2 AS b", errors.QueryFailed, "multiple commands"),
        ("SELECT $1 AS a", errors.QueryFailed, "cannot be run|refuses"),
        ("SELECT 1 / (10 - n) AS a FROM generate_series(1, 20) n", errors.QueryFailed, "zero"),
        ("CREATE TABLE t (n integer)", errors.QueryFailed, "returns no rows"),
        ("", errors.QueryFailed, "returns no rows"),
        ("INSERT INTO kept VALUES (1) RETURNING n", errors.QueryNotAllowed, "changes"),
        ("SELECT 1 AS a, 2 AS a", errors.DuplicateHeader, "Columns 1 and 2"),
        ("SELECT 1 AS a WHERE false", errors.HeaderOnly, "no rows"),
        ("SELECT repeat('x', 3000000) AS a", errors.CellTooLarge, "Row 1, column “a”"),
        ("SELECT n FROM generate_series(1, 3000) n", errors.DatasetTooLarge, "2,000 rows"),
    ],
)
async def test_what_is_wrong_with_a_query_is_told(
    dsn: str, tmp_path: Path, sql: str, error: type[Exception], told: str
) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (n integer)")
    with pytest.raises(error, match=told):
        await load_query(dsn, sql, tmp_path / "q.parquet", QueryLimits(rows=2000))
    assert await connection.fetchval("SELECT count(*) FROM kept") == 0
    await connection.close()
    assert not _left(tmp_path)


async def test_a_role_that_may_not_read_is_told(installation: Installation, tmp_path: Path) -> None:
    with pytest.raises(errors.QueryNotAllowed, match="permission denied"):
        await load_query(
            installation.app_dsn, "SELECT rolpassword FROM pg_authid", tmp_path / "q.parquet"
        )


async def test_a_query_that_takes_too_long_is_ended(dsn: str, tmp_path: Path) -> None:
    with pytest.raises(errors.QueryTimedOut):
        await load_query(dsn, "SELECT pg_sleep(60)", tmp_path / "q", QueryLimits(seconds=0.3))
    connection = await asyncpg.connect(dsn)
    running = """
        SELECT count(*) FROM pg_stat_activity
        WHERE query LIKE 'SELECT pg_sleep(60)%' AND state = 'active'
    """
    async with asyncio.timeout(10):
        while await connection.fetchval(running):
            await connection.fetchval("SELECT pg_sleep(0.02)")
    await connection.close()
    assert not _left(tmp_path)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://someone:s3cret@127.0.0.1:1/there",
        "postgresql://someone:s3cret@host.invalid/there",
        "mysql://someone:s3cret@localhost/there",
        "s3cret",
    ],
)
async def test_an_address_is_never_told(tmp_path: Path, address: str) -> None:
    with pytest.raises(errors.DatabaseUnreachable) as caught:
        await load_query(address, "SELECT 1 AS a", tmp_path / "q.parquet")
    told = f"{caught.value} {caught.value.errors}"
    assert not [word for word in ("s3cret", "someone", "host.invalid", "127.0") if word in told]


def _left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def _documents(count: int) -> AsyncIterator[dict[str, Any]]:
    for n in range(count):
        yield {
            "document id": f"0192-{n:04d}",
            "title": f"Report {n}",
            "path": f"reports/{n}.pdf",
            "type": "application/pdf",
            "size": 1000 + n,
            "date": dt.datetime(2024, 1, 2, 3, 4, tzinfo=dt.UTC),
            "text": "a\0b " + "word " * 2000 if n else None,
        }


async def test_documents_are_records(tmp_path: Path) -> None:
    fetched = await load_documents(_documents(30), tmp_path / "d.parquet")
    data = load(fetched.path, name="reports")
    assert [column.name for column in data.columns] == list(COLUMNS)
    assert data.rows == 30
    assert data["date"].type is ColumnType.date
    assert data.original_values(["title", "text", "url"], [1]) == [
        {"title": "Report 0", "text": None, "url": None}
    ]
    assert len(data.original("text", 2) or "") == 4000
    with pytest.raises(errors.HeaderOnly):
        await load_documents(_documents(0), tmp_path / "none.parquet")
    assert _left(tmp_path) == ["d.parquet"]


def test_which_documents_are_tables() -> None:
    assert is_table("text/csv; charset=utf-8", "export")
    assert is_table(None, "Bank.XLSX")
    assert not is_table("application/pdf", "bank.pdf")
