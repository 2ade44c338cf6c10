"""Reconciliation beside its peers: the same sets, the same machine, in turns.

    python -m benchmarks.reconcile_peers [--repeats 3] [--sets dblp-acm,...] [--peers splink,...]

Three comparisons, each a table of medians:

- our own model with no configuration, against bare Splink (its own training, pairs that share a
  rare word or a value) and recordlinkage (Python; its ECM classifier on the same kind of pairs);
- a trained Splink model as the rules take it, against bare Splink with the same settings: from
  the tables to the list of matches;
- people deduplicated (`--persons 100000`), with time, peak memory and F1, without a peer.

recordlinkage is installed into a folder of its own (`--cache`); Splink is that of the extra.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from benchmarks.persons import write
from muniment.reconcile.columns import Dataset
from muniment.reconcile.loading.load import load
from muniment.reconcile.matching.splink_model.run import find_by_splink
from muniment.reconcile.matching.stages import find_matches
from muniment.reconcile.rules import Engine, Rules

PACKAGES = ("recordlinkage==0.16", "pandas<3", "numpy<2.3", "scikit-learn<1.7")
PEER = Path(__file__).with_name("reconcile_peer.py")
Pairs = set[tuple[str, str]]


def main() -> None:
    arguments = _arguments()
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    if arguments.persons:
        people(arguments.persons)
        return
    for name in arguments.sets.split(","):
        folder = arguments.data / "linkage" / name
        if arguments.model:
            same_settings(folder, json.loads(arguments.model.read_text()), arguments.repeats)
        else:
            contenders(folder, arguments)


def contenders(folder: Path, arguments: argparse.Namespace) -> None:
    """Print F1 and seconds of each contender, by turns; the load of the files is in the time."""
    gold = _gold(folder)
    python = {"splink": sys.executable}
    if "recordlinkage" in arguments.peers:
        python["recordlinkage"] = _installed(arguments.cache)
    times: dict[str, list[float]] = {}
    scores: dict[str, float] = {}
    for _ in range(arguments.repeats):
        begin = time.perf_counter()
        left, right = load(folder / "left.csv"), load(folder / "right.csv")
        found = _matched(left, right, list(find_matches(left, right).matches))
        times.setdefault("muniment", []).append(time.perf_counter() - begin)
        scores["muniment"] = _f1(found, gold)
        for peer in arguments.peers.split(","):
            done = _peer(python[peer], peer, folder)
            times.setdefault(peer, []).append(done["seconds"])
            scores[peer] = _f1({(a, b) for a, b in done["pairs"]}, gold)
    ours = statistics.median(times["muniment"])
    for contender, seconds in times.items():
        middle = statistics.median(seconds)
        print(
            f"{folder.name:16} {contender:14} F1 {scores[contender]:.4f}  {middle:7.2f} s  "
            f"{middle / ours:5.2f} x ours  load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


def same_settings(folder: Path, settings: dict[str, Any], repeats: int) -> None:
    """Print how long a Splink model takes through the rules, and bare."""
    left, right = load(folder / "left.csv"), load(folder / "right.csv")
    rules = Rules(engine=Engine.SPLINK, splink=settings)
    tables = [dataset.table for dataset in (left, right)]

    def ours() -> int:
        return len(list(find_by_splink(left, right, rules=rules).matches))

    def bare() -> int:
        return _bare_splink(tables, settings)

    times: dict[str, list[float]] = {"ours": [], "bare": []}
    runs: list[tuple[str, Callable[[], int]]] = [("ours", ours), ("bare", bare)]
    for _, run in runs:
        run()
    for turn in range(repeats):
        for name, run in runs if turn % 2 else reversed(runs):
            begin = time.perf_counter()
            count = run()
            times[name].append(time.perf_counter() - begin)
            print(f"  {name} {times[name][-1]:.2f} s, {count} rows", flush=True)
    middle = {name: statistics.median(seconds) for name, seconds in times.items()}
    print(
        f"{folder.name}: with the same settings {middle['ours']:.2f} s, bare Splink "
        f"{middle['bare']:.2f} s: {middle['ours'] / middle['bare']:.2f} x  "
        f"load {os.getloadavg()[0]:.1f}"
    )


def _bare_splink(tables: list[Any], settings: dict[str, Any]) -> int:
    """Register, predict and fetch, as Splink's documentation has it."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from splink import Linker
    from splink.backends.duckdb import DuckDBAPI

    api = DuckDBAPI()
    registered = [
        api.register(
            pa.table(
                {
                    name if name != "row" else "unique_id": values
                    if name == "row"
                    else pc.cast(values, pa.string())
                    for name, values in zip(table.column_names, table.columns, strict=True)
                }
            ),
            dataset_display_name=f"set_{at}",
        )
        for at, table in enumerate(tables)
    ]
    linker = Linker(registered, dict(settings), log_level=None)
    return int(linker.inference.predict().as_pyarrow_table().num_rows)


def people(records: int) -> None:
    """Print time, peak memory and F1 of the deduplication of synthetic persons."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "people.csv")
        who = write(path, records)
        begin = time.perf_counter()
        outcome = find_matches(load(path))
        seconds = time.perf_counter() - begin
        names = [outcome.clusters.get(row, row) for row in range(1, records + 1)]
        right = _pairs(list(zip(names, who, strict=True)))
        score = 2 * right / (_pairs(names) + _pairs(who))
        begin = time.perf_counter()
        listed = sum(1 for _ in outcome.matches)
        listing = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{records} persons: F1 {score:.4f} of pairs in {seconds:.1f} s, {listed} pairs listed in "
        f"{listing:.1f} s, peak {peak:.0f} MB, load {os.getloadavg()[0]:.1f}"
    )


def _pairs(names: list[Any]) -> int:
    return sum(count * (count - 1) // 2 for count in Counter(names).values())


def _matched(left: Dataset, right: Dataset, matches: list[Any]) -> Pairs:
    ids = [side.values("id").to_pylist() for side in (left, right)]
    return {
        (str(ids[0][m.left_row - 1]), str(ids[1][m.right_row - 1]))
        for m in matches
        if m.status == "matched"
    }


def _gold(folder: Path) -> Pairs:
    with (folder / "gold.csv").open(encoding="utf-8", newline="") as lines:
        return {(row["left_id"], row["right_id"]) for row in csv.DictReader(lines)}


def _f1(found: Pairs, gold: Pairs) -> float:
    return 2 * len(found & gold) / max(len(found) + len(gold), 1)


def _peer(python: str, name: str, folder: Path) -> Any:
    done = subprocess.run(
        [python, str(PEER), name, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=1_800,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _installed(cache: Path) -> str:
    """Return the Python of a folder with the peers that are no dependency of ours."""
    folder = cache / "recordlinkage"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*install, *PACKAGES], check=True)
    return str(python)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default="fodors-zagats,dblp-acm,febrl4")
    parser.add_argument("--peers", default="splink,recordlinkage")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", type=Path, help="settings of Splink: time them bare and ours")
    parser.add_argument("--persons", type=int, help="deduplicate so many synthetic persons")
    cache = Path(platformdirs.user_cache_dir("muniment"), "benchmarks")
    parser.add_argument("--cache", type=Path, default=cache)
    return parser.parse_args()


if __name__ == "__main__":
    main()
