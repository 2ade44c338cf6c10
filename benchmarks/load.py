"""The whole API under a ramp of users: 20, 50, then 100 of them, a minute each.

Starts an installation of its own (database, API, workers, as `muniment up` does) with a small
library, and lets Locust ask it. Locust runs in an environment of its own, but on this machine: its
share of the processors is missing to the server. Limits by number of requests are off.

    python -m benchmarks.load [--json] [--steps 60x20,60x50,60x100] [--documents 200]

Prints the time of answers in milliseconds by endpoint, and for each step the median of the p95 of
its seconds (Locust's, over the last ten); then one line of JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import platformdirs
import uvloop

from benchmarks.jobs_peer import install_python
from muniment.cli.ingest_run import ingest_paths
from muniment.cli.processes import serving
from muniment.cli.runtime import local_session
from muniment.db import Role
from muniment.settings import Settings, load_settings
from muniment.tenancy.keys.create import create_api_key

LOCUST = ("locust==2.47.0",)
KEYS = 5
_PERCENTILES = ("50%", "95%", "99%")


def main() -> None:
    arguments = _arguments()
    python = install_python(arguments.cache / "locust", LOCUST)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _write_library(folder / "library", arguments.documents)
        os.environ |= {
            "MUNIMENT_DATA_DIR": str(folder / "data"),
            "MUNIMENT_PORT": str(arguments.port),
            "MUNIMENT_RATE_LIMITS": "false",
            "MUNIMENT_LOG_LEVEL": "warning",
        }
        settings = load_settings()
        with serving(settings):
            uvloop.run(_ingest(settings, folder / "library"))
            keys = uvloop.run(_keys(settings))
            environment = os.environ | {
                "LOAD_KEYS": json.dumps(keys),
                "LOAD_STEPS": json.dumps(arguments.steps),
            }
            host = f"http://127.0.0.1:{arguments.port}"
            locust = [python, "-m", "locust", "-f", Path(__file__).with_name("load_peer.py")]
            quiet = ["--headless", "--only-summary", "--csv-full-history", "--loglevel", "ERROR"]
            done = subprocess.run(
                [*locust, *quiet, "--host", host, "--csv", folder / "load"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"Locust failed:\n{done.stderr[-3000:]}")
        _report(folder, load, arguments)


async def _ingest(settings: Settings, library: Path) -> None:
    await ingest_paths(settings, [library], wait=True)


async def _keys(settings: Settings) -> list[str]:
    async with (
        local_session(settings, None) as local,
        local.database.unit_of_work(local.scope) as work,
    ):
        return [
            (await create_api_key(work, f"load {number}", Role.OWNER)).key for number in range(KEYS)
        ]


def _write_library(folder: Path, documents: int) -> None:
    """Write the sample's texts again and again, each with a title of its own."""
    folder.mkdir()
    sample = Path(str(files("muniment") / "sample" / "documents"))
    texts = [path.read_text(encoding="utf-8") for path in sorted(sample.glob("*.md"))]
    for number in range(documents):
        text = texts[number % len(texts)]
        (folder / f"{number}.md").write_text(f"# Copy {number}\n\n{text}", encoding="utf-8")


def _report(folder: Path, load: float, arguments: argparse.Namespace) -> None:
    with (folder / "load_stats.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    endpoints = {f"{row['Type']} {row['Name']}".strip(): _figures(row) for row in rows}
    total = endpoints.pop("Aggregated")
    failures = _failures(folder)
    by_users = _by_users(folder, [users for _, users in arguments.steps])
    if not arguments.json:
        print(f"{'':<34}{'requests':>10}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'errors':>9}")
        for name, each in [*sorted(endpoints.items()), ("all", total)]:
            print(
                f"{name:<34}{each['requests']:>10}{each['p50_ms']:>9}{each['p95_ms']:>9}"
                f"{each['p99_ms']:>9}{each['errors']:>9.2%}"
            )
        for users, milliseconds in by_users.items():
            print(f"{users} users: p95 {milliseconds:.0f} ms")
        for failure in failures:
            print(failure)
    result = {
        "benchmark": "load",
        "steps": [f"{seconds} s with {users} users" for seconds, users in arguments.steps],
        "documents": arguments.documents,
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        "load_before_and_after": [round(load, 1), round(os.getloadavg()[0], 1)],
        **total,
        "p95_ms_by_users": by_users,
        "endpoints": endpoints,
        "failures": failures,
    }
    print(json.dumps(result))


def _figures(row: dict[str, str]) -> dict[str, Any]:
    requests = int(row["Request Count"])
    return {
        "requests": requests,
        **{f"p{each[:-1]}_ms": int(float(row[each] or 0)) for each in _PERCENTILES},
        "errors": int(row["Failure Count"]) / max(1, requests),
    }


def _by_users(folder: Path, steps: list[int]) -> dict[int, float]:
    with (folder / "load_stats_history.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Name"] == "Aggregated"]
    found = {
        users: [
            float(row["95%"])
            for row in rows
            if int(row["User Count"]) == users and row["95%"] != "N/A"
        ]
        for users in steps
    }
    return {users: statistics.median(values) for users, values in found.items() if values}


def _failures(folder: Path) -> list[str]:
    with (folder / "load_failures.csv").open(newline="") as file:
        return [
            f"{row['Occurrences']} x {row['Method']} {row['Name']}: {row['Error'][:200]}"
            for row in csv.DictReader(file)
        ][:10]


def _steps(text: str) -> list[tuple[int, int]]:
    steps = [step.split("x") for step in text.split(",")]
    return [(int(seconds), int(users)) for seconds, users in steps]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.load", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument(
        "--steps", type=_steps, default="60x20,60x50,60x100", help="seconds x users, by commas"
    )
    parser.add_argument("--documents", type=int, default=200, help="documents of the library")
    parser.add_argument("--port", type=int, default=18642, help="port that the API listens on")
    parser.add_argument(
        "--cache",
        type=Path,
        default=platformdirs.user_cache_path("muniment-benchmarks"),
        help="folder that Locust is installed into",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
