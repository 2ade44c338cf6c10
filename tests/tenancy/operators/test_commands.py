"""`muniment admin organizations` and its neighbours, as an operator types them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from muniment.cli import app

Command = Callable[..., Result]


KEEP = """
import sys
from pathlib import Path
from muniment.db.installation import ready_installation
from muniment.settings import Settings
with ready_installation(Settings(data_dir=Path(sys.argv[1]))) as target:
    print(target.owner_dsn, flush=True)
    sys.stdin.read()
"""
"""Another user of the server, so that it does not stop after each command."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The data directory of one installation for all tests here; see `data_dir`."""
    with tempfile.TemporaryDirectory(prefix="muniment-test-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def owner_dsn(folder: Path) -> Iterator[str]:
    """The address of the installation, whose server runs until the last test."""
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEP, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert keeper.stdout is not None
    yield keeper.stdout.readline().strip()
    keeper.communicate()


@pytest.fixture
def admin(folder: Path, owner_dsn: str) -> Command:
    environment = {"MUNIMENT_DATA_DIR": str(folder), "COLUMNS": "200"}

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["admin", *arguments], env=environment)

    return run


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_organization_from_beginning_to_end(admin: Command) -> None:
    made = answer(admin("organizations", "create", "New", "--tier", "pro", "--json"))
    assert made["api_key"].startswith("mun_")
    org_id = made["organization"]["id"]
    invited = answer(
        admin("organizations", "create", "Other", "--owner-email", "Ada@example.com", "--json")
    )
    assert "#token=" in invited["invitation"]["accept_url"]

    changed = answer(admin("organizations", "set-tier", "New", "--tier", "enterprise", "--json"))
    assert changed["tier"] == "enterprise"
    closed = answer(admin("organizations", "suspend", org_id, "--reason", "Unpaid", "--json"))
    assert closed["suspended_because"] == "Unpaid"
    (listed,) = answer(admin("organizations", "list", "--suspended", "--json"))
    assert listed == closed
    shown = admin("organizations", "list", "--name", "new")
    assert org_id in shown.stdout
    assert "enterprise" in shown.stdout
    assert answer(admin("organizations", "resume", "New", "--json"))["suspended_at"] is None
    # The first organization of an installation is made with its first command.
    names = [each["name"] for each in answer(admin("organizations", "list", "--json"))]
    assert {"Other", "New", "My organization"} <= set(names)
    assert len(answer(admin("organizations", "list", "--limit", "2", "--json"))) == 2


def test_operator_keys(admin: Command) -> None:
    made = answer(admin("create-operator-key", "--name", "backup", "--days", "3", "--json"))
    assert made["operator_key"].startswith("muo_")
    (key,) = answer(admin("operator-keys", "--json"))
    assert (key["name"], key["revoked_at"]) == ("backup", None)
    assert "backup" in admin("operator-keys").stdout
    assert made["operator_key"] not in admin("operator-keys").output
    assert answer(admin("revoke-operator-key", key["prefix"], "--json"))["revoked_at"]
    again = admin("revoke-operator-key", key["prefix"])
    assert again.exit_code == 1
    assert "no such operator key" in again.output
    assert admin("create-operator-key").stdout.startswith("muo_")


def test_a_recount_tells_what_it_mended(admin: Command, owner_dsn: str) -> None:
    made = answer(admin("organizations", "create", "Drifting", "--json"))
    with psycopg.connect(owner_dsn) as connection:
        connection.execute(
            "INSERT INTO usage (org_id, documents, bytes) VALUES (%s, 7, 8)",
            (made["organization"]["id"],),
        )
    found = answer(admin("recount-usage", "--json"))
    assert found["organizations"] == len(answer(admin("organizations", "list", "--json")))
    (mended,) = found["drifted"]
    assert (mended["name"], mended["documents_before"], mended["documents"]) == ("Drifting", 7, 0)
    assert answer(admin("recount-usage", "--organization", "Drifting", "--json")) == {
        "organizations": 1,
        "drifted": [],
    }
    assert admin("recount-usage").stdout.endswith("organizations, 0 mended.\n")


def test_what_is_wrong_is_said_in_a_sentence(admin: Command) -> None:
    unknown = admin("organizations", "suspend", "Nobody", "--reason", "x")
    assert unknown.exit_code == 1
    assert "no such organization" in unknown.output
    assert admin("organizations", "create", "x", "--tier", "gold").exit_code == 2
    assert admin("organizations", "suspend", "x").exit_code == 2
