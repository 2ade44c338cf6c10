"""The embedded server: one for a directory, stopped with its last user, clear when it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory

from muniment.db.embedded import embedded_server, running_server
from muniment.db.errors import DataDirectoryUnusable, WrongServerVersion
from muniment.db.installation import (
    alembic_config,
    expected_revision,
    installation,
    schema_revision,
    upgrade,
)
from muniment.settings import Settings

JOIN = """
import sys
from pathlib import Path
from muniment.db.embedded import embedded_server
with embedded_server(Path(sys.argv[1])) as address:
    print(address, flush=True)
    sys.stdin.read()
"""


def joined(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", JOIN, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_second_process_joins_and_the_last_one_stops_it(data_dir: Path) -> None:
    first, second = joined(data_dir), joined(data_dir)
    address = address_of(first)
    assert address_of(second) == address
    first.communicate()
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    second.communicate()
    assert not running_server(data_dir)


def test_killed_user_does_not_keep_it_running(data_dir: Path) -> None:
    killed, other = joined(data_dir), joined(data_dir)
    address_of(killed), address_of(other)
    killed.kill()
    killed.communicate()
    assert running_server(data_dir)
    other.communicate()
    assert not running_server(data_dir)


def test_server_left_behind_is_joined_with_its_data(data_dir: Path) -> None:
    killed = joined(data_dir)
    with psycopg.connect(address_of(killed)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    killed.kill()
    killed.communicate()
    with embedded_server(data_dir) as address, psycopg.connect(address) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_directory_of_another_version(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir()
    (data_dir / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(WrongServerVersion, match=r"Postgres 9\b"), embedded_server(data_dir):
        pass


def test_path_too_long_for_a_socket(data_dir: Path) -> None:
    with (
        pytest.raises(DataDirectoryUnusable, match="too long"),
        embedded_server(data_dir / ("long" * 30)),
    ):
        pass


def test_directory_that_cannot_be_made(data_dir: Path) -> None:
    (data_dir / "file").write_text("in the way")
    with (
        pytest.raises(DataDirectoryUnusable, match="MUNIMENT_DATA_DIR"),
        installation(Settings(data_dir=data_dir / "file" / "data")),
    ):
        pass


def test_expected_revision_is_the_head_of_the_migrations() -> None:
    script = ScriptDirectory.from_config(alembic_config("postgresql://"))
    assert script.get_current_head() == expected_revision()


def test_upgrade_from_nothing_and_again(data_dir: Path) -> None:
    with installation(Settings(data_dir=data_dir)) as target:
        current, expected = schema_revision(target)
        assert current is None
        upgrade(target)
        assert schema_revision(target) == (expected, expected)
        upgrade(target)
        assert schema_revision(target) == (expected, expected)
