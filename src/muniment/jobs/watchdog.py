"""Notice a handler that blocks the event loop, and stop it: all jobs of the worker wait for it.

Three lines of defence, since code that blocks can be of three kinds. Python code and calls that
signals interrupt (`while True`, `time.sleep`, reading a socket) get an `EventLoopBlocked` raised
into them, once they have run for `patience` seconds; their attempt fails with it, the worker goes
on. Native code that lets other threads run is logged with its stack. After `give_up` seconds
without a turn of the loop, whatever holds it, even with the interpreter's lock, the process writes
its stacks to standard error and exits with code 1: its jobs are taken over, and whoever supervises
it starts it again.

Time counts only while the process runs: one that is stopped, frozen or starved of processor time
is not blamed for it (except by the last defence, which no part of Python can tell that).
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any

import structlog

from muniment.jobs.errors import EventLoopBlocked

_log = structlog.get_logger(__name__)

_SIGNAL = signal.SIGUSR2
_LOOKS = 10
"""Looks of the watching thread in the time of its patience."""

_STDERR = 2


class LoopWatchdog:
    """Watches the event loop of the main thread.

    Args:
        patience: seconds that one step of a job may hold the loop.
        give_up: seconds without a turn of the loop after which the process ends. Less than the
            silence after which other workers take over our jobs.
    """

    def __init__(self, *, patience: float = 30.0, give_up: float = 300.0) -> None:
        self._patience = patience
        self._give_up = give_up
        self._interval = patience / _LOOKS
        self._turns = 0
        self._armed_at = 0.0
        self._blamed: tuple[int, asyncio.Task[Any]] | None = None
        self._ended = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the running loop during the body; call it in the main thread.

        Code is known to be a job's by the `job_id` that the worker binds for log lines; other
        code is logged, never interrupted.

        Raises:
            RuntimeError: this is not the main thread, or no event loop runs here.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("signals can interrupt the main thread only")
        self._loop = asyncio.get_running_loop()
        self._ended.clear()
        before = signal.signal(_SIGNAL, self._interrupt)
        thread = threading.Thread(target=self._watch, name="loop watchdog", daemon=True)
        thread.start()
        self._turn()
        try:
            yield
        finally:
            self._timer.cancel()
            faulthandler.cancel_dump_traceback_later()
            self._ended.set()
            thread.join()
            signal.signal(_SIGNAL, before)

    def _turn(self) -> None:
        """Note that the loop has turned; runs in it again and again."""
        self._turns += 1
        now = monotonic()
        # Its own thread is native and needs no interpreter; it is started anew each time.
        if now - self._armed_at >= self._give_up / _LOOKS:
            self._armed_at = now
            faulthandler.dump_traceback_later(self._give_up, exit=True, file=_STDERR)
        self._timer = self._loop.call_later(self._interval, self._turn)

    def _watch(self) -> None:
        """Look from a thread whether one task has held the loop for too long."""
        held, due, last = 0.0, self._patience, monotonic()
        seen: tuple[int, asyncio.Task[Any] | None] = (0, None)
        while not self._ended.wait(self._interval):
            now = monotonic()
            # If we come much later than we meant to, the whole process did not run.
            passed, last = min(now - last, 2 * self._interval), now
            task = asyncio.current_task(self._loop)
            if task is None or seen != (self._turns, task):
                held, due, seen = 0.0, self._patience, (self._turns, task)
                continue
            held += passed
            if held >= due:
                due += self._patience
                self._blamed = (self._turns, task)
                self._tell(held)
                signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)

    def _tell(self, held: float) -> None:
        frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001  # documented, the only way
        _log.error("event loop blocked", seconds=round(held, 1), stack=_stack(frame))

    def _interrupt(self, _number: int, frame: FrameType | None) -> None:
        """Raise into the code that blocks; runs in the main thread, where the signal found it."""
        blamed, self._blamed = self._blamed, None
        # Meanwhile the task may have moved on, and then nobody is to blame.
        if blamed is None or blamed != (self._turns, asyncio.current_task(self._loop)):
            return
        job_id = structlog.contextvars.get_contextvars().get("job_id")
        if job_id is None:
            return
        _log.error("blocking job interrupted")
        raise EventLoopBlocked(
            f"The job held up its whole worker for {self._patience:g} seconds"
            f"{_place(frame)}: what computes or waits without `await` belongs into a thread or a "
            "process of its own."
        )


def _stack(frame: FrameType | None) -> str:
    return "".join(traceback.format_stack(frame)) if frame is not None else ""


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return ""
    code = frame.f_code
    return f" in {code.co_qualname} ({Path(code.co_filename).name}, line {frame.f_lineno})"
