"""Load a large file of records and watch the process: rows a second and its peak memory.

Loading means: every cell kept as it stands, types and roles decided from all values, every
column cleaned, both tables written as Parquet; then ids are made of all records. Each file is
loaded in a process of its own. Peers only read the file into a table in memory: pyarrow and
calamine from this environment, pandas from another one, if it is named.

    python -m benchmarks.reconcile_load [csv] [parquet] [xlsx] [--rows 1000000] [--json]
                                        [--folder FOLDER] [--peers] [--pandas PYTHON]

FOLDER keeps the files for the next time. One table, then one JSON line.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import xlsxwriter

KINDS = ("csv", "parquet", "xlsx")
HEADER = ("id", "name", "city", "amount", "date", "remark", "quantity", "reference")
CITIES = ("Bonn", "Rome", "Oslo", "Paris", "Köln", "Łódź")

_WATCHED = """
import json, resource, sys, time
began = time.perf_counter()
{work}
used = resource.getrusage(resource.RUSAGE_SELF)
# Not ru_maxrss, which begins with what the process had that started this one.
status = open("/proc/self/status").read()
peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({{
    "seconds": time.perf_counter() - began, "processor": used.ru_utime + used.ru_stime,
    "peak_mb": peak, "rows": rows, "ids": ids,
}}))
"""

_OURS = """
from pathlib import Path
from uuid import UUID
from muniment.reconcile.loading import load
from muniment.reconcile.record_ids import record_ids
data = load(Path(sys.argv[1]))
rows = data.rows
loaded = time.perf_counter()
assert len(record_ids(data, UUID(int=1))) == rows
ids = time.perf_counter() - loaded
began += ids
"""

_PEERS = {
    ("pyarrow", "csv"): "import pyarrow.csv as r; rows = r.read_csv(sys.argv[1]).num_rows",
    (
        "pyarrow",
        "parquet",
    ): "import pyarrow.parquet as r; rows = r.read_table(sys.argv[1]).num_rows",
    ("calamine", "xlsx"): (
        "import python_calamine as r; sheet = r.CalamineWorkbook.from_path(sys.argv[1])"
        ".get_sheet_by_index(0); rows = sum(1 for _ in sheet.iter_rows()) - 1"
    ),
    ("pandas", "csv"): "import pandas as r; rows = len(r.read_csv(sys.argv[1]))",
    ("pandas", "parquet"): "import pandas as r; rows = len(r.read_parquet(sys.argv[1]))",
    ("pandas", "xlsx"): "import pandas as r; rows = len(r.read_excel(sys.argv[1]))",
}


def records(rows: int) -> Iterator[tuple[Any, ...]]:
    """Yield made-up payments, the same ones each time."""
    draw = random.Random(1)
    first = dt.date(2024, 1, 1)
    for number in range(1, rows + 1):
        yield (
            f"R-{number:07d}",
            f"Person {draw.randrange(200_000)}",
            draw.choice(CITIES),
            draw.randrange(1, 10**6) / 100,
            first + dt.timedelta(days=draw.randrange(600)),
            f"some remark number {number}",
            draw.randrange(100),
            f"INV{draw.randrange(10**6):06d}",
        )


def write(kind: str, path: Path, rows: int) -> None:
    """Write the file of one kind, without holding it."""
    if kind == "xlsx":
        with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
            sheet = book.add_worksheet("payments")
            day = book.add_format({"num_format": "yyyy-mm-dd"})
            sheet.write_row(0, 0, HEADER)
            for number, record in enumerate(records(rows), 1):
                for place, value in enumerate(record):
                    if isinstance(value, dt.date):
                        sheet.write_datetime(number, place, value, day)
                    else:
                        sheet.write(number, place, value)
        return
    table = pa.table(dict(zip(HEADER, map(list, zip(*records(rows), strict=True)), strict=True)))
    if kind == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pq.write_table(table, path)


def measure(program: str, path: Path, python: str = sys.executable) -> dict[str, Any] | None:
    """Run a program on a file and return its figures; None if it cannot be run there."""
    done = subprocess.run(
        [python, "-c", _WATCHED.format(work=program), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return None
    found: dict[str, Any] = json.loads(done.stdout)
    return {
        "rows": found["rows"],
        "seconds": round(found["seconds"], 1),
        "processor_seconds": round(found["processor"], 1),
        "rows_per_second": round(found["rows"] / found["seconds"]),
        "peak_mb": round(found["peak_mb"]),
        "ids_seconds": None if found["ids"] is None else round(found["ids"], 1),
        "load_average": round(os.getloadavg()[0], 1),
    }


def programs(kind: str, arguments: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the program and the Python of whoever loads a kind of file."""
    yield "muniment", _OURS, sys.executable
    for (name, of), program in _PEERS.items():
        python = arguments.pandas if name == "pandas" else sys.executable
        if of == kind and (python if name == "pandas" else arguments.peers):
            yield name, f"ids = None; {program}", python


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keeps the files")
    parser.add_argument("--peers", action="store_true", help="also pyarrow and calamine")
    parser.add_argument("--pandas", help="the Python of an environment that has pandas")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="muniment-bench-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = []
        for kind in arguments.kinds or KINDS:
            path = folder / f"payments-{arguments.rows}.{kind}"
            if not path.exists():
                write(kind, path, arguments.rows)
            for name, program, python in programs(kind, arguments):
                if figures := measure(program, path, python):
                    size = round(path.stat().st_size / 1e6, 1)
                    found.append({"kind": kind, "by": name, "file_mb": size, **figures})
    if not arguments.json:
        _show(found)
    print(json.dumps({"machine": platform.machine(), "cores": os.cpu_count(), "loads": found}))


def _show(found: list[dict[str, Any]]) -> None:
    print("file     by             MB    rows/s       s   cpu s  peak MB  ids s")
    for one in found:
        ids = "" if one["ids_seconds"] is None else one["ids_seconds"]
        print(
            f"{one['kind']:8} {one['by']:9} {one['file_mb']:7} {one['rows_per_second']:9,} "
            f"{one['seconds']:7} {one['processor_seconds']:7} {one['peak_mb']:8,} {ids:>6}"
        )


if __name__ == "__main__":
    main()
