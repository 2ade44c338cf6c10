"""How a gate tells what it found: one line each, and an exit status that CI reads."""

import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def close(gate: str, checked: str, faults: Sequence[str]) -> None:
    """Print the faults, or that there are none, and exit with 1 or 0.

    Args:
        gate: name of the gate, as a person would say it.
        checked: what was looked at, e.g. ``"41 files"``.
        faults: one sentence each, beginning with ``path:line:``.
    """
    for fault in faults:
        print(fault)
    print(f"{gate}: {checked}, {len(faults)} faults.")
    sys.exit(1 if faults else 0)
