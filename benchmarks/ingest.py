"""Ingest a folder with `muniment ingest`, as a user does, and watch its processes.

Files and passages a second until everything is searchable by its words, the time until the
first file is, and the peak memory and processor time of each process. Two ways to start: with
`muniment up` already serving (what a running installation does), or from nothing (`--cold`).

    python -m benchmarks.ingest FOLDER [--json] [--repeats 3] [--cold]

FOLDER may be a .tar.gz of files. One table, then one JSON line; medians of the repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

ROLES = {
    "muniment ingest": "ingest command",
    "muniment up": "up",
    "muniment api": "API",
    "--lane embed": "embedding worker",
    "--lane convert": "worker",
    "conversion_process": "conversion process",
}
"""What tells the role of a process in its command line."""


@dataclass
class Processes:
    """Peaks of resident memory and processor seconds by role, read five times a second."""

    data_dir: str
    peak_mb: dict[str, float] = field(default_factory=dict)
    seconds: dict[int, tuple[str, float]] = field(default_factory=dict)

    def look(self) -> None:
        for process in psutil.process_iter():
            try:
                role = self._role(process)
                if role is None:
                    continue
                memory = process.memory_info().rss / 1e6
                times = process.cpu_times()
            except psutil.Error:
                continue  # it has just ended
            self.peak_mb[role] = max(self.peak_mb.get(role, 0.0), memory)
            self.seconds[process.pid] = (role, times.user + times.system)

    def _role(self, process: psutil.Process) -> str | None:
        if process.name() == "postgres":
            ours = process.cwd().startswith(self.data_dir)
            return "Postgres (largest process, with shared memory)" if ours else None
        line = " ".join(process.cmdline())
        if process.environ().get("MUNIMENT_DATA_DIR") != self.data_dir:
            return None
        return next((role for mark, role in ROLES.items() if mark in line), None)

    def cpu_seconds(self) -> dict[str, float]:
        total: dict[str, float] = {}
        for role, seconds in self.seconds.values():
            total[role] = total.get(role, 0.0) + seconds
        return total


def main() -> None:
    arguments = _arguments()
    with ExitStack() as stack:
        folder = stack.enter_context(_unpacked(arguments.folder))
        rounds = [_round(folder, cold=arguments.cold) for _ in range(arguments.repeats)]
    _report(rounds, arguments)


def _round(folder: Path, *, cold: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="muniment-", ignore_cleanup_errors=True) as data_dir:
        environment = os.environ | {"MUNIMENT_DATA_DIR": data_dir}
        processes = Processes(data_dir)
        with ExitStack() as stack:
            if not cold:
                stack.enter_context(_up(environment))
            command = [sys.executable, "-m", "muniment", "ingest", str(folder), "--json"]
            ingest = subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            while ingest.poll() is None:
                processes.look()
                time.sleep(0.2)
            assert ingest.stdout is not None
            [result] = json.loads(ingest.stdout.read())
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "files": result["found"],
        "failed": result["failed"],
        "passages": result["passages"],
        "seconds": result["seconds"],
        "files_per_second": result["found"] / result["seconds"],
        "passages_per_second": result["passages"] / result["seconds"],
        "mb_per_second": size / 1e6 / result["seconds"],
        "seconds_to_first_searchable": result["seconds_to_first_searchable"],
        "peak_mb": processes.peak_mb,
        "cpu_seconds": processes.cpu_seconds(),
    }


@contextmanager
def _up(environment: dict[str, str]) -> Iterator[None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    up = subprocess.Popen(
        [sys.executable, "-m", "muniment", "up", "--port", str(port)],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not _ready(port):
            assert time.monotonic() < deadline, "muniment up did not become ready"
            time.sleep(0.1)
        time.sleep(5)  # its workers load their model meanwhile, as in a running installation
        yield
    finally:
        up.terminate()
        up.wait()


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").is_success
    except httpx.HTTPError:
        return False


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder, tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
        yield Path(folder)


def _median(rounds: list[dict[str, Any]], name: str) -> float:
    return round(statistics.median(one[name] for one in rounds), 2)


def _report(rounds: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    figures: dict[str, Any] = {
        name: _median(rounds, name) for name in rounds[0] if name not in {"peak_mb", "cpu_seconds"}
    }
    for group in ("peak_mb", "cpu_seconds"):
        figures[group] = {
            role: round(statistics.median(one[group].get(role, 0.0) for one in rounds), 1)
            for role in rounds[0][group]
        }
    figures |= {
        "benchmark": "ingest",
        "data": arguments.folder.name,
        "start": "from nothing" if arguments.cold else "with `muniment up` serving",
        "repeats": arguments.repeats,
        "machine": f"{os.cpu_count()} processors, {platform.machine()}",
    }
    if not arguments.json:
        for name, value in figures.items():
            if isinstance(value, dict):
                for role, part in value.items():
                    print(f"{name + ': ' + role:60} {part:>12,}")
            else:
                print(f"{name:60} {value:>12}")
    print(json.dumps(figures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="folder or .tar.gz to ingest")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="start from nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
