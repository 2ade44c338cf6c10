"""Processes that a command starts and stops: the API and the worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from muniment.cli.runtime import notes
from muniment.jobs import Lane

GRACE = 20.0
"""Seconds that a process gets to finish what it is doing."""

_PARENT = "MUNIMENT_PARENT_PID"


@dataclass(slots=True)
class Child:
    """One process of ours, run as `muniment <arguments>` and started again if it dies."""

    name: str
    """What people call it."""
    arguments: list[str]
    _process: subprocess.Popen[bytes] | None = None
    _started: float = 0.0
    _restarts: int = 0

    def start(self) -> None:
        """Start the process in a group of its own: Ctrl-C reaches it only through us."""
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "muniment", *self.arguments],
            env=os.environ | {_PARENT: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            process_group=0,
        )

    def ended(self) -> int | None:
        """Return the exit code if the process has ended."""
        return None if self._process is None else self._process.poll()

    def keep_running(self) -> None:
        """Start the process again if it died, later each time that it dies at once."""
        code = self.ended()
        if code is None:
            return
        lived = time.monotonic() - self._started
        self._restarts = 0 if lived > 30 else self._restarts + 1
        if lived >= min(2.0**self._restarts / 4, 30.0):
            notes.print(f"The {self.name} ended with code {code}; it was started again.")
            self.start()

    def ask_to_stop(self) -> None:
        """Ask the process to finish what it is doing and end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> None:
        """Wait until the process has ended, and end it if it does not within `GRACE`."""
        if self._process is None:
            return
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def stop_all(children: Sequence[Child]) -> None:
    """Stop processes, all at the same time."""
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.wait()


def worker_children(*options: str) -> list[Child]:
    """Return the workers of one machine.

    Embedding has a process of its own that gives way to all others: it may take hours, and
    search by words does not wait for it.
    """
    lanes = [lane for lane in Lane if lane is not Lane.EMBED]
    quick = [option for lane in lanes for option in ("--lane", lane.value)]
    return [
        Child("worker", ["worker", *quick, *options]),
        Child("embedding worker", ["worker", "--lane", Lane.EMBED.value, *options]),
    ]


def stop_with_parent() -> None:
    """End this process when the one that started it is gone, even if it was killed.

    Without this a killed `muniment up` would leave an API behind that holds the port.
    """
    parent = os.environ.get(_PARENT)
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
