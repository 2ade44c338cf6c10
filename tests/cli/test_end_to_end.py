"""The command line as a user runs it: real processes, a data directory of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from muniment.db.embedded import embedded_server

FILES = 300


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "muniment", *arguments]


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    return os.environ | {"MUNIMENT_DATA_DIR": str(data_dir)} | more


def run(data_dir: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(data_dir, **more),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(FILES):
        paragraphs = "\n\n".join(
            f"Paragraph {part} of note {number}. " * 12 for part in range(number % 5 + 1)
        )
        (folder / f"note-{number:03}.md").write_text(f"# Note {number}\n\n{paragraphs}\n")
    return folder


@pytest.fixture
def documents(data_dir: Path) -> Iterator[psycopg.Connection[Any]]:
    """A look at the installation's database from outside, while it is used."""
    with (
        embedded_server(data_dir),
        psycopg.connect(
            f"host={data_dir / 'postgres'} user=postgres dbname=postgres", autocommit=True
        ) as connection,
    ):
        if not connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = 'muniment'"
        ).fetchone():
            connection.execute("CREATE DATABASE muniment")
        with psycopg.connect(
            f"host={data_dir / 'postgres'} user=postgres dbname=muniment", autocommit=True
        ) as ours:
            yield ours


def count(connection: psycopg.Connection[Any], query: str) -> int:
    try:
        row = connection.execute(query).fetchone()
    except psycopg.errors.UndefinedTable:
        return 0  # not migrated yet
    assert row is not None
    return int(row[0])


def test_worker_killed_in_mid_ingest_loses_and_doubles_nothing(
    data_dir: Path, folder: Path, documents: psycopg.Connection[Any]
) -> None:
    ingest = subprocess.Popen(
        command("ingest", str(folder), "--wait", "--json"),
        env=environment(data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def in_the_middle() -> bool:
        done = count(documents, "SELECT count(*) FROM documents WHERE status <> 'pending'")
        return 0 < done < FILES

    until(in_the_middle)
    [worker] = [
        child for child in psutil.Process(ingest.pid).children() if "convert" in child.cmdline()
    ]
    worker.kill()
    output, errors = ingest.communicate(timeout=180)
    assert ingest.returncode == 0, errors
    [result] = json.loads(output)
    assert (result["found"], result["searchable"], result["failed"]) == (FILES, FILES, 0)
    assert result["passages_waiting_for_vectors"] == 0
    doubled = """
        SELECT count(*) FROM (
            SELECT document_id FROM documents d LEFT JOIN chunks c USING (org_id, document_id)
            GROUP BY document_id, chunk_count
            HAVING count(c.*) <> chunk_count OR count(DISTINCT ordinal) <> chunk_count
        ) AS faulty
    """
    assert count(documents, doubled) == 0
    chunks = count(documents, "SELECT count(*) FROM chunks")
    assert count(documents, "SELECT count(*) FROM lexical_entries") == chunks
    assert count(documents, "SELECT count(*) FROM embeddings") == chunks

    [again] = json.loads(run(data_dir, "ingest", str(folder), "--json").stdout)
    assert (again["added"], again["changed"], again["removed"]) == (0, 0, 0)
    assert again["unchanged"] == FILES


def test_ingest_reports_failures_and_exits_with_one(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "good.md").write_text("# Good\n\nA crate of apples.")
    (folder / "empty.md").write_text("")
    answer = run(data_dir, "ingest", str(folder))
    assert answer.returncode == 1
    assert "1 failed" in answer.stdout
    assert "empty.md: " in answer.stdout
    found = run(data_dir, "search", "apples", "--json")
    assert found.returncode == 0, found.stderr
    assert [result["title"] for result in json.loads(found.stdout)["results"]] == ["Good"]


def test_operator_makes_another_key(data_dir: Path) -> None:
    first, second = (run(data_dir, "admin", "create-key", "--role", "viewer") for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr
    assert first.stdout.startswith("mun_")
    assert first.stdout != second.stdout


def test_missing_folder_is_one_sentence(data_dir: Path) -> None:
    answer = run(data_dir, "ingest", "/nowhere/at/all")
    assert answer.returncode == 1
    assert answer.stderr.strip().splitlines() == [
        "Error: There is no folder or file /nowhere/at/all."
    ]


def test_unusable_data_directory_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    answer = run(tmp_path / "file" / "data", "db", "status")
    assert answer.returncode == 1
    assert answer.stderr.startswith("Error: The data directory")
    assert len(answer.stderr.strip().splitlines()) == 1


def test_wrong_usage_exits_with_two(data_dir: Path) -> None:
    assert run(data_dir, "ingest").returncode == 2
    assert run(data_dir, "nonsense").returncode == 2


def test_up_serves_until_interrupted_and_refuses_a_second(data_dir: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    up = subprocess.Popen(
        command("up", "--port", str(port)),
        env=environment(data_dir),
        stderr=subprocess.PIPE,
        text=True,
    )

    def ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz").is_success
        except httpx.HTTPError:
            return False

    try:
        until(ready)
        second = run(data_dir, "up", "--port", str(port))
        assert second.returncode == 1
        assert "already runs" in second.stderr
        elsewhere = run(data_dir / "other", "up", "--port", str(port))
        assert elsewhere.returncode == 1
        assert f"Port {port} is taken" in elsewhere.stderr
        children = psutil.Process(up.pid).children()
    finally:
        up.send_signal(signal.SIGINT)
        _, errors = up.communicate(timeout=60)
    assert up.returncode == 0
    assert "Its owner's API key, shown only now: mun_" in errors
    assert "Muniment has stopped." in errors
    assert not [child for child in children if child.is_running()]


def test_database_status_and_upgrade(data_dir: Path) -> None:
    assert run(data_dir, "db", "status").returncode == 1
    assert run(data_dir, "db", "upgrade").returncode == 0
    status = run(data_dir, "db", "status", "--json")
    assert status.returncode == 0
    assert json.loads(status.stdout)["pending"] is False
    sql = run(data_dir, "db", "sql")
    assert sql.returncode == 0
    assert "CREATE TABLE organizations" in sql.stdout
