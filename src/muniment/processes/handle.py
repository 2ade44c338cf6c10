"""Our side of a process that may be killed: start, send and receive, watch, kill."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

import muniment
from muniment.processes.frames import LENGTH_BYTES, frame
from muniment.processes.observers import EndOfProcess, ObservedProcess

_WATCH_INTERVAL = 0.05
_END_TIMEOUT = 5.0
_PIPE_BUFFER = 1024 * 1024


class Death(enum.Enum):
    """Why a process ended before it had answered."""

    CRASH = "crash"
    TIMEOUT = "timeout"
    MEMORY = "memory"


class ProcessDied(Exception):
    """The process ended in the middle of its work."""

    def __init__(self, death: Death, exit_code: int | None) -> None:
        """Take the code as `subprocess` tells it: negative is the signal that ended it."""
        super().__init__(death.value)
        self.death = death
        self.exit_code = exit_code


class Subprocess:
    """A running process that speaks in frames over its standard input and output.

    It leads a session of its own: Ctrl-C is for us, and who kills it kills its group.
    """

    def __init__(self, process: asyncio.subprocess.Process, *, role: str, patience: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._patience = patience
        self._measured = psutil.Process(process.pid)
        self._clock_started = 0.0
        self._death = Death.CRASH
        self._observed = ObservedProcess(role, process.pid)

    @classmethod
    async def start(
        cls,
        module: str,
        *arguments: str,
        role: str,
        environment: Mapping[str, str] | None = None,
        verdict: bool = False,
        patience: float = 0.0,
    ) -> Subprocess:
        """Run `python -m module`; `role` is a word for what it does, for metrics.

        With `verdict`, what it writes to standard error is for us (`verdict`), and not for our
        own. `patience` is how many seconds it may take to end by itself when its standard input
        is closed, before it is killed.

        Raises:
            OSError: it cannot be started.
        """
        package_root = str(Path(muniment.__file__).parents[1])
        path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if verdict else None,
            limit=_PIPE_BUFFER,
            start_new_session=True,
            env={**os.environ, **(environment or {}), "PYTHONPATH": path},
        )
        return cls(process, role=role, patience=patience)

    @property
    def pid(self) -> int:
        """Its id, which is also the id of its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs, as far as is known yet."""
        return self._process.returncode is None

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the process now; 0 once it has ended."""
        try:
            return int(self._measured.memory_info().rss)
        except psutil.Error:
            return 0

    def send(self, message: Any) -> None:
        """Send a message; it is buffered until the process reads it.

        Raises:
            TypeError, ValueError, NotImplementedError: the message cannot be sent.
        """
        self._stdin.write(frame(message))

    async def receive(self) -> bytes:
        """Return the body of the next frame.

        Raises:
            asyncio.IncompleteReadError, ConnectionError: the process has closed its pipe.
        """
        prefix = await self._stdout.readexactly(LENGTH_BYTES)
        return await self._stdout.readexactly(int.from_bytes(prefix, "big"))

    def restart_clock(self) -> None:
        """Let the deadline of `at_work` begin anew."""
        self._clock_started = asyncio.get_running_loop().time()

    @asynccontextmanager
    async def at_work(
        self, *, memory_bytes: int | None = None, deadline: float | None = None
    ) -> AsyncIterator[None]:
        """Talk to the process in the body; it is killed above its memory and at its deadline.

        The process is also killed when the body is cancelled or fails, for nobody will read the
        rest of its answer.

        Raises:
            ProcessDied: the process ended in the middle of the body.
        """
        self.restart_clock()
        watch = None
        if memory_bytes is not None or deadline is not None:
            watch = asyncio.create_task(self._watch(memory_bytes, deadline))
        try:
            yield
        except (asyncio.IncompleteReadError, ConnectionError):
            # Its pipe is closed, so it is ending by itself; killing it now would hide how.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_TIMEOUT):
                    await self._process.wait()
            await self.kill("crash")
            raise ProcessDied(self._death, self._process.returncode) from None
        except BaseException:
            await self.kill("cancelled")
            raise
        finally:
            if watch is not None:
                watch.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watch

    async def _watch(self, memory_bytes: int | None, deadline: float | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_WATCH_INTERVAL)
            if memory_bytes is not None and self.resident_bytes > memory_bytes:
                self._death = Death.MEMORY
            elif deadline is not None and loop.time() - self._clock_started > deadline:
                self._death = Death.TIMEOUT
            else:
                continue
            self._send_kill()
            return

    async def verdict(self) -> bytes:
        """Return what the process wrote to standard error until its end."""
        assert self._process.stderr is not None
        return await self._process.stderr.read()

    async def kill(self, reason: EndOfProcess = "closed") -> None:
        """End the process with its group and wait until it is gone; `reason` is for metrics."""
        if not self._stdin.is_closing():
            # Not close: that would first wait until the process has read what was sent to it.
            self._stdin.transport.abort()
        try:
            if self._patience:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._patience):
                        await self._process.wait()
        finally:
            self._send_kill()
        await self._process.wait()
        self._observed.ended(reason if self._death is Death.CRASH else self._death.value)
        with contextlib.suppress(ConnectionError):
            await self._stdin.wait_closed()

    def _send_kill(self) -> None:
        # Not Process.kill: that polls first, and a poll that reaps the process takes the exit
        # code away from the event loop's watcher, which then reports 255.
        if self.alive:
            self._observed.ending()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
