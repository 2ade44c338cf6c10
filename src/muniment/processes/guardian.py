"""A small process beside the one that works: it watches it and leaves nothing of it behind.

The guardian stays in native memory and threads of its own when the work hangs, floods its
output or starts processes; it ends with whoever started it, and all that the work has started
ends with the guardian.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from typing import NoReturn

import msgspec

from muniment.processes.frames import encoded

_LOOK_SECONDS = 0.05
_FAMILY_SECONDS = 0.25
"""How often new processes of the work are looked for, which takes longer than measuring."""

_TAIL_BYTES = 8 * 1024
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Verdict(msgspec.Struct, frozen=True):
    """How the work ended."""

    exit_code: int
    """As `subprocess` tells it: negative is the signal that ended it."""
    over_ceiling: bool
    """It was killed because it took too much memory."""
    peak_bytes: int
    """Most resident memory of the work and the processes it started, as far as was seen."""
    output: bytes
    """The last it printed."""


def fork_guarded(memory_bytes: int) -> int:
    """Return in a new child of this process, which stays behind as its guardian.

    The return value is the descriptor for what the child prints. The guardian never returns:

    - it ends, with all that the child has started, when its standard input is closed;
    - it kills the child when that takes more than `memory_bytes` of resident memory, together
      with the processes it has started; pages that they share count once;
    - when the child has ended, it kills what the child has left behind, writes a `Verdict` to
      standard error and exits.
    """
    output, printed = os.pipe()
    guardian = os.getpid()
    # Whoever loses its parent below us becomes our child, and is found when we clean up.
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        os.close(output)
        os.setpgid(0, 0)
        # In case the guardian itself is killed.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guardian:
            os._exit(1)
        return printed
    os.close(printed)
    os.close(1)
    with contextlib.suppress(OSError):  # it has done so itself, or has ended
        os.setpgid(child, child)
    try:
        _Guardian(child, output, memory_bytes).stay()
    except BaseException:  # noqa: BLE001  # whatever it was, nothing may stay behind
        sys.excepthook(*sys.exc_info())
        _kill_all(child)
        os._exit(1)


class _Guardian:
    def __init__(self, child: int, output: int, memory_bytes: int) -> None:
        # Only here: the work shall not carry it.
        import psutil

        self._psutil = psutil
        self._child = child
        self._output = output
        self._memory_bytes = memory_bytes
        self._tail = b""
        self._peak = 0
        self._over_ceiling = False
        self._family: list[psutil.Process] = []
        self._family_since = 0.0
        self._looked = 0.0

    def stay(self) -> NoReturn:
        poll = select.poll()
        # No event is asked for: that it was closed is told in any case, and the rest is not ours.
        poll.register(0, 0)
        poll.register(self._output, select.POLLIN)
        while (status := self._ended()) is None:
            for descriptor, _event in poll.poll(_LOOK_SECONDS * 1000):
                if descriptor == 0:
                    _kill_all(self._child)
                    os._exit(0)
                if not self._read_output():
                    poll.unregister(self._output)
            if not self._over_ceiling and time.monotonic() - self._looked >= _LOOK_SECONDS:
                self._looked = time.monotonic()
                self._measure()
        _kill_all(self._child)
        os.set_blocking(self._output, False)
        with contextlib.suppress(BlockingIOError):
            while self._read_output():
                pass
        verdict = Verdict(
            os.waitstatus_to_exitcode(status), self._over_ceiling, self._peak, self._tail
        )
        with contextlib.suppress(OSError):
            os.write(2, encoded(verdict))
        os._exit(0)

    def _ended(self) -> int | None:
        """Reap who has ended; return the status of the child if it has."""
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == self._child:
                return status
            if pid == 0:
                return None

    def _read_output(self) -> bool:
        read = os.read(self._output, 64 * 1024)
        self._tail = (self._tail + read)[-_TAIL_BYTES:]
        return bool(read)

    def _measure(self) -> None:
        now = time.monotonic()
        if now - self._family_since >= _FAMILY_SECONDS or not self._family:
            self._family_since = now
            self._family = self._psutil.Process().children(recursive=True)
        used = sum(self._resident(process) for process in self._family)
        if used > self._memory_bytes and len(self._family) > 1:
            used = sum(self._proportional(process) for process in self._family)
        self._peak = max(self._peak, used)
        if used > self._memory_bytes:
            self._over_ceiling = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)

    def _resident(self, process: object) -> int:
        try:
            return int(process.memory_info().rss)  # type: ignore[attr-defined]  # psutil is untyped
        except self._psutil.Error:
            return 0

    def _proportional(self, process: object) -> int:
        """Return the memory of a process with its share of what it has in common with others."""
        try:
            memory = process.memory_full_info()  # type: ignore[attr-defined]  # psutil is untyped
        except self._psutil.Error:
            return 0
        return int(getattr(memory, "pss", memory.rss))


def _kill_all(child: int) -> None:
    """Kill all that run below us until nobody is left."""
    import psutil

    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.002)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
