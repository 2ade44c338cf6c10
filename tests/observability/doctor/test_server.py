"""What concerns a whole server, and a data directory as `muniment` makes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from typer.testing import CliRunner, Result

from muniment.cli import app
from muniment.db.doctor import Severity
from muniment.db.installation import (
    Installation,
    alembic_config,
    expected_revision,
    installation,
    ready_installation,
    upgrade,
)
from tests.conftest import _create, _installation
from tests.observability.doctor.conftest import Patient, settings_in


@pytest.fixture
def patient(data_dir: Path) -> Iterator[Patient]:
    """An installation with a server of its own."""
    settings = settings_in(data_dir)
    with ready_installation(settings) as target:
        yield Patient(target, settings)


BREAKAGES = [
    ("db.roles", "muniment_app owns tables", "1 relation",
     "CREATE TABLE mine (n int); ALTER TABLE mine OWNER TO muniment_app"),
    ("db.roles", "muniment_app may too much", "BYPASSRLS", "ALTER ROLE muniment_app BYPASSRLS"),
    ("db.roles", "muniment_app is a member of muniment_operator", "SET ROLE",
     "GRANT muniment_operator TO muniment_app"),
    ("db.autovacuum", "autovacuum is off", "dead rows", "ALTER SYSTEM SET autovacuum = off"),
    ("db.durability", "fsync is off", "crash", "ALTER SYSTEM SET fsync = off"),
]  # fmt: skip


async def test_what_breaks_a_whole_server_is_named_and_cleared(patient: Patient) -> None:
    assert (await patient.ask()).findings == []
    for check, title, evidence, sql in BREAKAGES:
        patient.run(sql, "SELECT pg_reload_conf()")
        (finding,) = await settled(patient, check, 1)
        assert (finding.id, finding.severity) == (check, Severity.ERROR)
        assert title in finding.title
        assert evidence in finding.evidence
        patient.heal(finding)
        assert await settled(patient, check, 0) == []
    await away(patient)


async def settled(patient: Patient, check: str, count: int) -> list:  # type: ignore[type-arg]
    """Ask until there are so many findings: the server reads its settings when it comes to it."""
    for _ in range(50):
        found = await patient.findings(check)
        if len(found) == count:
            break
    return found


async def away(patient: Patient) -> None:
    """A server that is not there is told once, and what needs it is left out."""
    nowhere = patient.installation.operator_dsn.replace("/muniment?", "/nowhere?")
    patient.installation = Installation(
        **{name: getattr(patient.installation, name) for name in Installation.__slots__}
        | {"operator_dsn": nowhere}
    )
    report = await patient.ask()
    assert [finding.id for finding in report.findings] == ["db.reachable"]
    assert "nowhere" in report.findings[0].evidence
    assert len([check for check in report.checks if check.skipped]) > 15


async def test_a_migration_that_is_pending(server: Installation, tmp_path: Path) -> None:
    name = f"doctor_{tmp_path.name.replace('-', '_')}"
    _create(server.owner_dsn, name, "template0")
    target = _installation(server.owner_dsn, name)
    try:
        before = f"{int(expected_revision()) - 1:04}"
        upgrade_to(target, before)
        patient = Patient(target, settings_in(tmp_path))
        report = await patient.ask()
        (finding,) = report.findings
        assert (finding.id, finding.severity) == ("db.migrations", Severity.ERROR)
        assert f"revision {before}" in finding.evidence
        assert finding.command == "muniment db upgrade"
        skipped = {check.id for check in report.checks if check.skipped is not None}
        assert "db.missing_indexes" in skipped
        assert "db.timeouts" not in skipped
        upgrade(target)
        assert (await patient.ask()).findings == []
    finally:
        with psycopg.connect(server.owner_dsn, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def upgrade_to(target: Installation, revision: str) -> None:
    from importlib.resources import files

    with psycopg.connect(target.owner_dsn, autocommit=True) as connection:
        connection.execute(files("muniment.db").joinpath("roles.sql").read_bytes())
    command.upgrade(alembic_config(target.owner_dsn), revision)


def doctor(data_dir: Path, *arguments: str, **changes: str) -> Result:
    environment = {"MUNIMENT_DATA_DIR": str(data_dir), "COLUMNS": "200"} | changes
    return CliRunner().invoke(app, ["doctor", *arguments], env=environment)


def test_the_command_on_a_data_directory(data_dir: Path) -> None:
    well = doctor(data_dir)
    assert well.exit_code == 0, well.output
    assert "Nothing is wrong" in well.stdout

    (data_dir / "secret.key").chmod(0o604)
    bad = doctor(data_dir, MUNIMENT_TRUSTED_PROXIES="*")
    assert bad.exit_code == 1
    assert bad.stdout.index("Errors") < bad.stdout.index("Warnings")
    assert "tenancy.secret_file: The file of the installation's secret is open" in bad.stdout
    assert f"$ chmod 600 {data_dir}/secret.key" in bad.stdout
    assert "MUNIMENT_TRUSTED_PROXIES=127.0.0.1" in bad.stdout
    assert "1 error, 1 warning, 0 remarks" in bad.stdout

    (data_dir / "secret.key").chmod(0o600)
    warned = doctor(data_dir, "--json", MUNIMENT_TRUSTED_PROXIES="*")
    assert warned.exit_code == 0, "warnings do not fail"
    report = json.loads(warned.stdout)
    assert report["status"] == "warnings"
    assert [finding["id"] for finding in report["findings"]] == ["tenancy.trusted_proxies"]

    one = doctor(data_dir, "--json", "--check", "db.clock")
    assert [check["id"] for check in json.loads(one.stdout)["checks"]] == ["db.clock"]
    assert doctor(data_dir, "--check", "db.nothing").exit_code == 1


def test_the_command_leaves_the_schema_as_it_is(data_dir: Path) -> None:
    """A schema that is behind is told, not upgraded unasked."""
    settings = settings_in(data_dir)
    with installation(settings) as target:
        upgrade_to(target, "0008")
        found = doctor(data_dir, "--json")
    assert found.exit_code == 1
    assert [each["id"] for each in json.loads(found.stdout)["findings"]] == ["db.migrations"]
