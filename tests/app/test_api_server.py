"""The process that serves: its socket, its start, its orderly end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest

from muniment.api_server import (
    SHUTDOWN_SECONDS,
    AddressUnusable,
    PortTaken,
    listening_socket,
    require_free_port,
    run_api,
)
from muniment.db.errors import DataDirectoryUnusable
from muniment.settings import Settings

PROGRAM = """
from muniment.api_server import run_api
from muniment.settings import Settings
run_api(Settings(), on_ready=lambda address: print(address, flush=True))
print("stopped", flush=True)
"""


def test_taken_port_is_told_in_one_sentence() -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"^Port {port} is taken .*--port or MUNIMENT_PORT.$"):
            require_free_port("127.0.0.1", port)
    require_free_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_address_of_another_machine_is_told(host: str) -> None:
    with pytest.raises(AddressUnusable, match="MUNIMENT_HOST"):
        require_free_port(host, 0)


def test_port_is_free_again_right_after_a_connection() -> None:
    with listening_socket("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as client:
            listener.setblocking(True)
            accepted, _ = listener.accept()
            accepted.close()  # ours closes first, so it is ours that lingers
            assert client.recv(1) == b""
    require_free_port(*address)


@contextmanager
def serving(installation: Any, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the process on a database until the context ends; gives it and its address."""
    environment = os.environ | {
        "MUNIMENT_DATABASE_URL": installation.owner_dsn,
        "MUNIMENT_DATA_DIR": str(folder),
        "MUNIMENT_PORT": "0",
        "MUNIMENT_LOG_FORMAT": "json",
    }
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_serves_and_finishes_what_is_under_way(clone: Any, tmp_path: Path) -> None:
    with (
        serving(clone.installation, tmp_path) as (process, address),
        psycopg.connect(clone.installation.owner_dsn) as other,
        ThreadPoolExecutor(1) as thread,
    ):
        assert address.startswith("http://127.0.0.1:")
        ready = httpx.get(f"{address}/readyz")
        assert ready.status_code == 200, ready.text
        assert "server" not in ready.headers

        other.execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        key = {"authorization": "Bearer mun_nobody"}
        request = thread.submit(httpx.get, f"{address}/v1/jobs", headers=key, timeout=30)
        wait_for_waiter(other)
        process.send_signal(signal.SIGTERM)
        wait_until_refused(address)
        other.rollback()
        assert request.result().status_code == 401

        assert process.wait(SHUTDOWN_SECONDS) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "stopped\n"
        assert process.stderr is not None
        log = process.stderr.read()
        assert '"route":"/v1/jobs"' in log
        assert "Uvicorn running" not in log


def wait_for_waiter(connection: psycopg.Connection[Any]) -> None:
    """Wait until somebody waits for a lock in the connection's database."""
    deadline = time.monotonic() + 20
    waiting = 0
    while not waiting:
        assert time.monotonic() < deadline
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
        assert row is not None
        waiting = row[0]


def wait_until_refused(address: str) -> None:
    """Wait until nobody listens at an address any more."""
    deadline = time.monotonic() + 20
    with contextlib.suppress(httpx.TransportError):
        while time.monotonic() < deadline:
            httpx.get(f"{address}/healthz")


def test_interrupt_ends_it_as_well(clone: Any, tmp_path: Path) -> None:
    with serving(clone.installation, tmp_path) as (process, _address):
        process.send_signal(signal.SIGINT)
        assert process.wait(SHUTDOWN_SECONDS + 5) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_serves_health_while_the_database_is_away(tmp_path: Path) -> None:
    nowhere = f"postgresql://nobody@/nothing?host={tmp_path}"
    with serving(SimpleNamespace(owner_dsn=nowhere), tmp_path) as (_process, address):
        assert httpx.get(f"{address}/healthz").status_code == 200
        ready = httpx.get(f"{address}/readyz")
        assert ready.status_code == 503
        assert [fault["check"] for fault in ready.json()["errors"]] == ["database"]


def test_unusable_data_directory_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(data_dir=tmp_path / "file", database_url="postgresql:///", port=0)
    with pytest.raises(DataDirectoryUnusable):
        run_api(settings)
