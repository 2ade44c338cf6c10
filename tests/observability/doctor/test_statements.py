"""Plans of named statements, slow ones, and indexes that are not worth what they cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from muniment.db import TenantScope
from muniment.db.checks import server as server_checks
from muniment.db.checks.statements import name_of, named_statements, whole_tables
from muniment.db.doctor import Finding, Severity
from tests.observability.doctor.conftest import Patient

SIZES = {("public", "jobs"): 100_000.0, ("public", "users"): 100.0}


@pytest.fixture
def patient(own_patient: Patient) -> Patient:
    return own_patient


def scan(rows: int, table: str = "jobs") -> dict[str, Any]:
    return {"Node Type": "Seq Scan", "Schema": "public", "Relation Name": table, "Plan Rows": rows}


def node(kind: str, *below: dict[str, Any]) -> dict[str, Any]:
    return {"Node Type": kind, "Plans": list(below)}


@pytest.mark.parametrize(
    "plan",
    [
        scan(10),
        node("Nested Loop", scan(100_000, "users"), scan(5)),
        node("Limit", node("Sort", scan(100_000))),
        node("Limit", node("LockRows", node("Sort", scan(100_000)))),
        node("Append", node("Aggregate", scan(100))),
    ],
)
def test_reading_a_large_table_for_a_few_rows_is_found(plan: dict[str, Any]) -> None:
    assert [found.table for found in whole_tables(plan, SIZES)] == ["public.jobs"]


@pytest.mark.parametrize(
    "plan",
    [
        scan(1, "users"),
        node("Aggregate", scan(100_000)),
        node("Limit", scan(100_000)),
        node("Limit", node("Sort", node("Aggregate", scan(90_000)))),
        {"Node Type": "Index Scan", "Schema": "public", "Relation Name": "jobs", "Plan Rows": 1},
    ],
)
def test_reading_a_small_table_or_what_is_needed_is_not(plan: dict[str, Any]) -> None:
    assert list(whole_tables(plan, SIZES)) == []


def test_every_statement_of_every_room_is_known() -> None:
    names = {statement.name for statement in named_statements()}
    assert {"jobs.insert_jobs", "search.postgres.candidates", "db.checks.tables"} <= names
    assert len(names) > 150


def fill(patient: Patient, scope: TenantScope) -> None:
    patient.run(
        "INSERT INTO jobs (org_id, job_id, parent_id, kind, lane, payload, max_attempts, deadline)"
        f" VALUES ('{scope.org_id}', '{scope.org_id}', NULL, 'tests.x', 'fast', '{{}}', 1, '1 s')",
        "INSERT INTO jobs (org_id, job_id, parent_id, kind, lane, payload, max_attempts, deadline,"
        f" status, finished_at) SELECT '{scope.org_id}', gen_random_uuid(),"
        f" CASE WHEN n % 1000 = 0 THEN '{scope.org_id}'::uuid END, 'tests.x', 'fast', '{{}}', 1,"
        " '1 s', 'succeeded', now() FROM generate_series(1, 20000) AS n",
        "ANALYZE jobs",
    )


async def test_a_statement_that_lost_its_index(patient: Patient, scope: TenantScope) -> None:
    fill(patient, scope)
    assert await patient.findings("db.plans") == []
    patient.run("DROP INDEX jobs_by_parent")
    found = await patient.findings("db.plans")
    titles = {finding.title for finding in found}
    assert "The statement jobs.progress_of reads all of public.jobs." in titles
    assert {finding.severity for finding in found} == {Severity.WARNING}
    (missing,) = await patient.findings("db.missing_indexes")
    assert missing.id in found[0].remedy
    patient.heal(missing)
    assert await patient.findings("db.plans") == []


async def test_a_statement_that_cannot_be_run(patient: Patient) -> None:
    patient.run("ALTER TABLE sources RENAME COLUMN name TO title")
    found = await patient.findings("db.plans")
    assert {finding.severity for finding in found} == {Severity.ERROR}
    assert any("sources." in finding.title for finding in found)
    assert 'column "name"' in found[0].evidence
    patient.run("ALTER TABLE sources RENAME COLUMN title TO name")
    assert await patient.findings("db.plans") == []


async def test_a_statement_whose_role_lost_its_rights(patient: Patient) -> None:
    patient.run("REVOKE ALL ON sources FROM muniment_app, muniment_operator")
    assert any("permission denied" in each.evidence for each in await patient.findings("db.plans"))
    for finding in await patient.findings("db.grants"):
        patient.heal(finding)
    assert await patient.findings("db.plans") == []


async def test_a_statement_that_is_slow_on_average(patient: Patient) -> None:
    patient.settings = patient.settings.model_copy(update={"slow_statement_ms": 2})
    found: list[Finding] = []
    slept: list[Finding] = []
    for _ in range(5):  # The server forgets some when many databases of other tests ask it.
        async with patient.open() as database, database.system() as work:
            for _ in range(5):
                await work.connection.fetch("SELECT pg_sleep(0.05)")
        found = await patient.findings("db.slow_statements")
        slept = [each for each in found if "pg_sleep" in each.evidence]
        if slept:
            break
    (finding,) = slept
    assert finding.title == "A statement without a name is slow."
    assert re.search(r"^\d+ ms on average over \d+ calls", finding.evidence)
    for each in found:
        patient.heal(each)
    assert "pg_sleep" not in str(await patient.findings("db.slow_statements"))


async def test_statements_are_known_by_what_the_server_keeps_of_them(patient: Patient) -> None:
    await patient.ask()
    async with patient.open() as database, database.operator() as work:
        rows = await work.connection.fetch(
            "SELECT query FROM pg_stat_statements WHERE dbid ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    known = {name_of(row["query"]) for row in rows}
    asked = {"tables", "policies", "functions", "index_states", "bloated_indexes", "table_states"}
    # The server forgets some when many databases of other tests ask it.
    assert len({f"db.checks.{name}" for name in asked} & known) >= 2


async def test_an_index_that_nobody_uses(patient: Patient, scope: TenantScope) -> None:
    patient.run(
        "CREATE TABLE facts (org_id uuid, n bigint, t text)",
        "CREATE INDEX facts_by_text ON facts (t)",
        "INSERT INTO facts SELECT NULL, n, md5(n::text) || md5(n::text) || md5(n::text)"
        " FROM generate_series(1, 80000) AS n",
    )
    assert await patient.findings("db.unused_indexes") == []
    patient.ahead = timedelta(days=8)
    (finding,) = await patient.findings("db.unused_indexes")
    assert finding.severity is Severity.WARNING
    assert finding.title == "The index facts_by_text is not used."
    patient.heal(finding)
    assert await patient.findings("db.unused_indexes") == []


async def test_an_index_that_is_bloated(patient: Patient) -> None:
    patient.run(
        "CREATE TABLE facts (n bigint, t uuid)",
        "CREATE INDEX facts_by_n ON facts (t, n)",
        "INSERT INTO facts SELECT n, gen_random_uuid() FROM generate_series(1, 200000) AS n",
    )
    patient.run("VACUUM ANALYZE facts")
    assert await patient.findings("db.bloated_indexes") == []
    patient.run("DELETE FROM facts WHERE n % 10 > 0", "VACUUM ANALYZE facts")
    (finding,) = await patient.findings("db.bloated_indexes")
    assert finding.title == "The index facts_by_n is bloated."
    patient.heal(finding)
    assert await patient.findings("db.bloated_indexes") == []


@pytest.fixture
def left_open(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A session whose transaction is open."""
    monkeypatch.setattr(server_checks, "OLD_SECONDS", 0.0)
    connection = psycopg.connect(patient.installation.owner_dsn)
    connection.execute("SELECT 1")
    yield connection.info.backend_pid
    connection.close()


async def test_a_transaction_that_is_left_open(patient: Patient, left_open: int) -> None:
    (finding,) = await patient.findings("db.old_transactions")
    assert f"session {left_open} " in finding.evidence
    patient.heal(finding)
    assert await patient.findings("db.old_transactions") == []
