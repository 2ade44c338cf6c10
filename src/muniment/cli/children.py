"""Processes that a command starts and stops: the API and the worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

GRACE = 20.0
"""Seconds that a process gets to finish what it is doing."""

_PARENT = "MUNIMENT_PARENT_PID"


@dataclass(slots=True)
class Child:
    """One process of ours, run as `muniment <arguments>` and started again if it dies."""

    arguments: list[str]
    on_restart: Callable[[int], None] = field(default=lambda _code: None)
    _process: subprocess.Popen[bytes] | None = None
    _started: float = 0.0
    _restarts: int = 0

    def start(self) -> None:
        """Start the process in a session of its own: Ctrl-C reaches it only through us."""
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "muniment", *self.arguments],
            env=os.environ | {_PARENT: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int | None:
        """The id of the process, None before it is started."""
        return None if self._process is None else self._process.pid

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
            self.on_restart(code)
            self.start()

    def stop(self) -> None:
        """Ask the process to finish, and end it if it does not within `GRACE`."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


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
