"""A file larger than the memory that a load may take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_LOAD = """
import sys
from muniment.reconcile.loading import load
data = load(sys.argv[1])
assert data.rows == int(sys.argv[2]), data.rows
assert data["amount"].role == "amount"
assert data["id"].role == "identifier", data["id"]
# Not ru_maxrss, which begins with what the process had that started this one.
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def _peak(folder: Path, rows: int) -> int:
    """Return the peak memory in KiB of a process that loads that many rows."""
    path = folder / "rows.csv"
    with path.open("w") as file:
        file.write("id,amount,remark\n")
        for first in range(0, rows, 10_000):
            file.writelines(
                f"R-{n},{n % 9973}.25,remark number {n} is of some length and of no use at all\n"
                for n in range(first, first + 10_000)
            )
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, str(path), str(rows)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    small, large = _peak(tmp_path, 150_000), _peak(tmp_path, 600_000)
    # The larger file has 35 MB more, which as objects of Python would be above 200 MB.
    assert large - small < 60 * 1024
