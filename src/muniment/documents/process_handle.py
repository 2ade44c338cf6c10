"""The converter's side of one conversion process: start, feed, watch, kill."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

import muniment
from muniment.documents.conversion import ConversionItem
from muniment.documents.conversion_wire import (
    LENGTH_BYTES,
    Batch,
    Converted,
    Failed,
    Ready,
    Reply,
    Setup,
    frame,
    reply_decoder,
)
from muniment.documents.convert_errors import ConversionUnavailable

_WATCH_INTERVAL = 0.05
_START_TIMEOUT = 60.0
_END_TIMEOUT = 5.0
_PIPE_BUFFER = 1024 * 1024


class Death(enum.Enum):
    """Why a process ended before it had answered."""

    CRASH = "crash"
    TIMEOUT = "timeout"
    MEMORY = "memory"


class ProcessDied(Exception):
    """The process ended in the middle of a batch; becomes the error of one file."""

    def __init__(self, death: Death, exit_code: int | None) -> None:
        super().__init__(death.value)
        self.death = death
        self.exit_code = exit_code


class ConversionProcess:
    """One running process; not to be used by two batches at the same time.

    `files_read` counts the files it has answered for.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, *, deadline: float, memory_bytes: int
    ) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._deadline = deadline
        self._memory_bytes = memory_bytes
        self._measured = psutil.Process(process.pid)
        self._file_started = 0.0
        self._death = Death.CRASH
        self.files_read = 0

    @classmethod
    async def start(cls, setup: Setup, *, memory_bytes: int) -> ConversionProcess:
        """Start a process and wait until it is set up.

        Raises:
            ConversionUnavailable: it cannot be started.
        """
        package_root = str(Path(muniment.__file__).parents[1])
        path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
        # One thread each: the number of processes is what the operator sets.
        single = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "muniment.documents.conversion_process",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_PIPE_BUFFER,
                # Ctrl-C is for the parent, which then ends its processes.
                start_new_session=True,
                env={**os.environ, **single, "PYTHONPATH": path, "TOKENIZERS_PARALLELISM": "false"},
            )
        except OSError as error:
            raise ConversionUnavailable(
                f"No conversion process can be started: {error.strerror}."
            ) from error
        handle = cls(process, deadline=setup.deadline, memory_bytes=memory_bytes)
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                handle._stdin.write(frame(setup))
                ready = isinstance(await handle._reply(), Ready)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
            await handle.kill()
            raise ConversionUnavailable(
                "A conversion process ended while it was starting; its message is in the log."
            ) from error
        except BaseException:
            await handle.kill()
            raise
        assert ready
        return handle

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

    async def read(
        self, items: Sequence[ConversionItem], answers: list[Converted | Failed]
    ) -> None:
        """Convert a batch; append an answer for each file, in order, as it is there.

        Raises:
            ProcessDied: at the file after the last answer. The process is gone.
        """
        loop = asyncio.get_running_loop()
        self._file_started = loop.time()
        watch = asyncio.create_task(self._watch())
        try:
            self._stdin.write(frame(Batch(list(items))))
            while len(answers) < len(items):
                reply = await self._reply()
                self._file_started = loop.time()
                if isinstance(reply, Converted | Failed):
                    answers.append(reply)
                    self.files_read += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            # Its pipe is closed, so it is ending by itself; killing it now would hide how.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_TIMEOUT):
                    await self._process.wait()
            await self.kill()
            raise ProcessDied(self._death, self._process.returncode) from None
        except BaseException:
            # Cancelled in the middle of a batch: nobody will read the rest.
            await self.kill()
            raise
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def _reply(self) -> Reply:
        prefix = await self._stdout.readexactly(LENGTH_BYTES)
        body = await self._stdout.readexactly(int.from_bytes(prefix, "big"))
        return reply_decoder.decode(body)

    async def _watch(self) -> None:
        """Kill the process at the deadline of a file or above the memory ceiling."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_WATCH_INTERVAL)
            if self.resident_bytes > self._memory_bytes:
                self._death = Death.MEMORY
            elif loop.time() - self._file_started > self._deadline:
                self._death = Death.TIMEOUT
            else:
                continue
            self._send_kill()
            return

    async def kill(self) -> None:
        """End the process now and wait until it is gone."""
        self._stdin.close()
        self._send_kill()
        await self._process.wait()
        with contextlib.suppress(ConnectionError):
            await self._stdin.wait_closed()

    def _send_kill(self) -> None:
        # Not Process.kill: that polls first, and a poll that reaps the process takes the exit
        # code away from the event loop's watcher, which then reports 255.
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
