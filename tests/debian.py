"""Programs that tests need and no wheel carries: from Debian's packages, taken apart.

Nothing is installed into the system and no server is started, so it needs no rights beyond
fetching a package.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import filelock

_SECONDS = 300


class Unobtainable(Exception):
    """The packages cannot be had here."""


def unpacked(name: str, *packages: str) -> Path:
    """Return a folder with what packages hold, beside the tests' Python; fetched once.

    Raises:
        Unobtainable: the reason is in the message.
    """
    kept = Path(sys.prefix, "share", "muniment-tests")
    kept.mkdir(parents=True, exist_ok=True)
    folder = kept / name
    # One lock for all: apt has one list of packages.
    with filelock.FileLock(kept / "apt.lock"):
        if not folder.is_dir():
            _fetch(folder, packages)
    return folder


def _fetch(folder: Path, packages: tuple[str, ...]) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Unobtainable("this is no Debian")
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        download = ["apt-get", "download", *packages]
        if _run(download, name) is not None:
            # A new machine has no list of packages yet.
            _run(["apt-get", "update"], name)
            if (failed := _run(download, name)) is not None:
                raise Unobtainable(failed)
        root = Path(name, "root")
        for package in Path(name).glob("*.deb"):
            if (failed := _run(["dpkg-deb", "-x", str(package), str(root)], name)) is not None:
                raise Unobtainable(failed)
        root.rename(folder)


def _run(command: list[str], folder: str) -> str | None:
    """Run a command and return why it failed, or None."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode == 0:
        return None
    return done.stderr.strip()[-300:] or f"{command[0]} {command[1]} failed"
