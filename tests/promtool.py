"""Prometheus' own checker of rules."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.debian import Unobtainable, unpacked


def require_promtool() -> Path:
    """Return the program; skip where it cannot be had, which in CI is a failure."""
    try:
        return _program()
    except Unobtainable as error:
        reason = f"promtool is not installed, and Debian's package cannot be had: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def run_promtool(*arguments: str | Path) -> str:
    """Run the program and return what it says.

    Raises:
        AssertionError: it finds a fault, which is the message.
    """
    done = subprocess.run(
        [require_promtool(), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@cache
def _program() -> Path:
    found = shutil.which("promtool")
    if found is not None:
        return Path(found)
    return unpacked("prometheus", "prometheus") / "usr" / "bin" / "promtool"
