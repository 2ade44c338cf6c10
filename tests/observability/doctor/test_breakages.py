"""What an administrator, a migration by hand or bad luck breaks in the database.

Each breakage is named with its remedy, and applying the remedy clears it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from muniment.db.doctor import Severity
from tests.observability.doctor.conftest import Patient

FUNCTION = "touch_sessions(bytea[])"


@dataclass(frozen=True)
class Breakage:
    """Statements that break something, and how the doctor names it."""

    check: str
    title: str
    sql: tuple[str, ...]
    severity: Severity = Severity.ERROR
    afterwards: tuple[str, ...] = ()
    """Removes what the remedy is right to leave."""


def breakage(
    check: str,
    title: str,
    *sql: str,
    severity: Severity = Severity.ERROR,
    afterwards: tuple[str, ...] = (),
) -> Breakage:
    return Breakage(check, title, sql, severity, afterwards)


def rows(number: int) -> str:
    return (
        "INSERT INTO audit_log (org_id, entry_id, actor, action, target_type)"
        " SELECT gen_random_uuid(), gen_random_uuid(), 'test', 'test.test', 'test'"
        f" FROM generate_series(1, {number})"
    )


WARNING = Severity.WARNING
BREAKAGES = [
    breakage("db.missing_indexes", "jobs_ended is missing", "DROP INDEX jobs_ended"),
    breakage(
        "db.missing_indexes",
        "documents_by_workspace is not the one",
        "DROP INDEX documents_by_workspace",
        "CREATE INDEX documents_by_workspace ON documents (workspace_id)",
        severity=WARNING,
    ),
    breakage(
        "db.invalid_indexes",
        "jobs_by_kind is not valid",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'jobs_by_kind'::regclass",
    ),
    breakage(
        "db.duplicate_indexes",
        "by_hand is the same as jobs_by_kind",
        "CREATE INDEX by_hand ON jobs (org_id, lane, kind, job_id)",
        severity=WARNING,
    ),
    breakage(
        "db.missing_objects",
        "constraint failure_has_a_reason of public.documents is missing",
        "ALTER TABLE documents DROP CONSTRAINT failure_has_a_reason",
    ),
    breakage(
        "db.missing_objects",
        "trigger count_inserted of public.documents is missing",
        "ALTER TABLE documents DISABLE TRIGGER count_inserted",
    ),
    breakage(
        "db.missing_objects",
        "function public.touch_sessions(hashes bytea[]) is missing",
        f"DROP FUNCTION {FUNCTION}",
    ),
    breakage(
        "db.missing_objects",
        "function public.touch_sessions(hashes bytea[]) is not as",
        f"ALTER FUNCTION {FUNCTION} SECURITY INVOKER",
    ),
    breakage(
        "db.missing_objects",
        "function public.keep_an_owner() is not as",
        "CREATE OR REPLACE FUNCTION keep_an_owner() RETURNS trigger LANGUAGE plpgsql"
        " SECURITY DEFINER SET search_path = public, pg_temp AS $$ BEGIN RETURN NULL; END $$",
    ),
    breakage(
        "db.grants",
        "public may call public.touch_sessions",
        f"GRANT EXECUTE ON FUNCTION {FUNCTION} TO PUBLIC",
    ),
    breakage(
        "db.grants",
        "muniment_app has too many rights on public.audit_log",
        "GRANT UPDATE, DELETE ON audit_log TO muniment_app",
    ),
    breakage(
        "db.grants",
        "muniment_app lacks rights on public.documents",
        "REVOKE INSERT ON documents FROM muniment_app",
    ),
    breakage(
        "db.row_security",
        "Row-level security is off on public.documents",
        "ALTER TABLE documents DISABLE ROW LEVEL SECURITY",
    ),
    breakage(
        "db.row_security",
        "Row-level security is not forced on public.jobs",
        "ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY",
    ),
    breakage(
        "db.row_security",
        "policies of public.chunks",
        "DROP POLICY tenant_isolation ON chunks",
    ),
    breakage(
        "db.row_security",
        "policies of public.sources",
        "CREATE POLICY opened ON sources USING (true)",
    ),
    breakage(
        "db.row_security",
        "policies of public.users",
        "ALTER POLICY personal_isolation ON users USING (true)",
    ),
    breakage(
        "db.row_security",
        "public.made_by_hand has organizations but no row-level security",
        "CREATE TABLE made_by_hand (org_id uuid NOT NULL)",
        afterwards=("DROP TABLE made_by_hand",),
    ),
    breakage(
        "db.autovacuum",
        "Autovacuum is off for public.documents",
        "ALTER TABLE documents SET (autovacuum_enabled = false)",
        severity=WARNING,
    ),
    breakage(
        "db.statistics",
        "statistics of public.audit_log are out of date",
        "ALTER TABLE audit_log SET (autovacuum_enabled = false)",
        rows(20_000),
        severity=WARNING,
        afterwards=("TRUNCATE audit_log", "ALTER TABLE audit_log RESET (autovacuum_enabled)"),
    ),
    breakage(
        "db.dead_rows",
        "public.audit_log is full of dead rows",
        "ALTER TABLE audit_log SET (autovacuum_enabled = false)",
        rows(21_000),
        "DELETE FROM audit_log",
        severity=WARNING,
        afterwards=("ALTER TABLE audit_log RESET (autovacuum_enabled)",),
    ),
    breakage("db.versions", "extension unaccent is missing", "DROP EXTENSION unaccent"),
    breakage(
        "search.vector_indexes",
        "model test has no vector index",
        "SELECT embedding_model('test', 8)",
        "DROP INDEX embeddings_of_model_1",
        afterwards=("DELETE FROM embedding_models", "DROP INDEX embeddings_of_model_1"),
    ),
    breakage(
        "jobs.paused_lanes",
        "lane convert is paused",
        "INSERT INTO queue.paused_lanes (lane, paused_by) VALUES ('convert', 'somebody')",
        severity=WARNING,
    ),
]


@pytest.mark.parametrize("what", BREAKAGES, ids=lambda what: f"{what.check}-{what.title[:30]}")
async def test_a_breakage_is_named_and_its_remedy_clears_it(
    patient: Patient, what: Breakage
) -> None:
    assert await patient.findings(what.check) == []
    patient.run(*what.sql)
    found = await patient.findings(what.check)
    assert [(finding.id, finding.severity) for finding in found] == [(what.check, what.severity)]
    (finding,) = found
    assert what.title in finding.title
    assert finding.evidence
    assert finding.remedy
    assert finding.sql
    patient.heal(finding)
    assert await patient.findings(what.check) == []
    patient.run(*what.afterwards)


async def test_a_time_out_of_zero(patient: Patient) -> None:
    name = patient.installation.app_dsn.partition("?")[0].rpartition("/")[2]
    for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
        patient.run(f"ALTER ROLE muniment_app IN DATABASE {name} SET {setting} = 0")
        (finding,) = await patient.findings("db.timeouts")
        assert finding.title == f"{setting} is off for muniment_app."
        patient.heal(finding)
        assert await patient.findings("db.timeouts") == []


async def test_everything_is_mended(patient: Patient) -> None:
    """Runs last: whatever the tests above broke, their remedies left nothing behind."""
    report = await patient.ask()
    assert report.findings == []
    assert report.status == "ok"
