"""A real PgBouncer for tests, in front of a server that they have: transaction pooling."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import psycopg
import pytest

from tests.debian import Unobtainable, unpacked

PORT = 6432
ROLES = ("muniment_app", "muniment_worker", "muniment_operator", "postgres")
START_SECONDS = 20.0
_PACKAGES = ("pgbouncer", "libevent-2.1-7", "libc-ares2")
"""Debian's names of the program and of the libraries that a small system may lack."""
_USER = "embedded_postgres"
"""PgBouncer refuses to run as root; this is the user of the server then."""


@dataclass
class Program:
    """An executable and where its libraries are."""

    path: Path
    libraries: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Its environment."""
        return {**os.environ, "LD_LIBRARY_PATH": self.libraries}

    def version(self) -> tuple[int, ...]:
        """Return the version, e.g. (1, 18, 0)."""
        told = subprocess.run(
            [self.path, "--version"], env=self.environment, capture_output=True, check=True
        ).stdout.decode()
        found = re.search(r"PgBouncer (\d+(?:\.\d+)+)", told)
        assert found is not None, told
        return tuple(map(int, found[1].split(".")))


@dataclass
class PgBouncer:
    """A running one; its socket lies in its folder."""

    folder: Path
    program: Program

    def address(self, dsn: str) -> str:
        """Return the address of the same role and database through PgBouncer."""
        query = f"host={quote(str(self.folder))}&port={PORT}"
        return urlunsplit(urlsplit(dsn)._replace(query=query))

    def console(self, command: str) -> list[tuple[str, ...]]:
        """Run a command of its console and return the rows of the answer."""
        with psycopg.connect(
            f"postgresql://postgres:@/pgbouncer?host={quote(str(self.folder))}&port={PORT}",
            autocommit=True,
        ) as connection:
            cursor = connection.execute(command.encode(), prepare=False)
            return cursor.fetchall() if cursor.description is not None else []


@contextmanager
def running_pgbouncer(server_dsn: str, *, pool_size: int, prepared: int = 0) -> Iterator[PgBouncer]:
    """Run one in front of a server until the context ends.

    Args:
        server_dsn: an address of the server's socket.
        pool_size: connections to the server for each role and database.
        prepared: `max_prepared_statements`, for versions that know it.
    """
    program = require_pgbouncer()
    with tempfile.TemporaryDirectory(prefix="muniment-bouncer-") as name:
        folder = Path(name)
        host = parse_qs(urlsplit(server_dsn).query)["host"][0]
        _configure(folder, host, pool_size, prepared if program.version() >= (1, 21) else 0)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program.path, folder / "pgbouncer.ini"],
                env=program.environment,
                stdout=log,
                stderr=log,
                user=_USER if os.geteuid() == 0 else None,
            )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(folder):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.01)
            yield PgBouncer(folder, program)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=10)


def require_pgbouncer() -> Program:
    """Return the program; skip where there is none. In CI that is a failure instead."""
    try:
        return _program()
    except Unobtainable as error:
        reason = f"there is no PgBouncer to start: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def _answers(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(f"{folder}/.s.PGSQL.{PORT}")
        except OSError:
            return False
    return True


def _configure(folder: Path, host: str, pool_size: int, prepared: int) -> None:
    lines = [
        "[databases]",
        f"* = host={host} port=5432",
        "[pgbouncer]",
        "pool_mode = transaction",
        f"default_pool_size = {pool_size}",
        "min_pool_size = 0",
        "reserve_pool_size = 0",
        "max_client_conn = 500",
        "listen_addr =",
        f"listen_port = {PORT}",
        f"unix_socket_dir = {folder}",
        "auth_type = trust",
        f"auth_file = {folder}/users",
        "admin_users = postgres",
        "query_wait_timeout = 10",
    ]
    if prepared:
        lines.append(f"max_prepared_statements = {prepared}")
    (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
    (folder / "users").write_text("".join(f'"{role}" ""\n' for role in ROLES))
    if os.geteuid() == 0:
        owner = pwd.getpwnam(_USER)
        for path in (folder, *folder.iterdir()):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    folder.chmod(0o755)


@cache
def _program() -> Program:
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is not None:
        return Program(Path(found))
    folder = unpacked("pgbouncer", *_PACKAGES)
    libraries = ":".join(str(path) for path in folder.glob("usr/lib/*-linux-gnu*"))
    return Program(folder / "usr" / "sbin" / "pgbouncer", libraries)
