"""The converter's side of one conversion process: start it and feed it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter

from muniment.documents.conversion import ConversionItem
from muniment.documents.conversion_wire import (
    Batch,
    Converted,
    Failed,
    Ready,
    Reply,
    Setup,
    reply_decoder,
)
from muniment.documents.convert_errors import ConversionUnavailable
from muniment.documents.observers import UNKNOWN_TYPE, ConversionObserver
from muniment.processes.handle import ProcessDied, Subprocess
from muniment.processes.observers import EndOfProcess

_START_TIMEOUT = 60.0

# One thread each: the number of processes is what the operator sets.
_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MALLOC_ARENA_MAX"), "1"),
    "TOKENIZERS_PARALLELISM": "false",
}


class ConversionProcess:
    """One running process; not to be used by two batches at the same time.

    `files_read` counts the files it has answered for.
    """

    def __init__(
        self,
        process: Subprocess,
        *,
        deadline: float,
        memory_bytes: int,
        observers: Sequence[ConversionObserver] = (),
    ) -> None:
        self._process = process
        self._deadline = deadline
        self._memory_bytes = memory_bytes
        self._observers = observers
        self.files_read = 0

    @classmethod
    async def start(
        cls, setup: Setup, *, memory_bytes: int, observers: Sequence[ConversionObserver] = ()
    ) -> ConversionProcess:
        """Start a process and wait until it is set up.

        Raises:
            ConversionUnavailable: it cannot be started.
        """
        try:
            process = await Subprocess.start(
                "muniment.documents.conversion_process",
                role="conversion",
                environment=_ENVIRONMENT,
            )
        except OSError as error:
            raise ConversionUnavailable(
                f"No conversion process can be started: {error.strerror}."
            ) from error
        handle = cls(
            process, deadline=setup.deadline, memory_bytes=memory_bytes, observers=observers
        )
        try:
            async with process.at_work(), asyncio.timeout(_START_TIMEOUT):
                process.send(setup)
                ready = isinstance(await handle._reply(), Ready)
        except (TimeoutError, ProcessDied) as error:
            raise ConversionUnavailable(
                "A conversion process ended while it was starting; its message is in the log."
            ) from error
        assert ready
        return handle

    @property
    def alive(self) -> bool:
        """Whether the process runs, as far as is known yet."""
        return self._process.alive

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the process now; 0 once it has ended."""
        return self._process.resident_bytes

    async def read(
        self, items: Sequence[ConversionItem], answers: list[Converted | Failed]
    ) -> None:
        """Convert a batch; append an answer for each file, in order, as it is there.

        Raises:
            ProcessDied: at the file after the last answer. The process is gone.
        """
        async with self._process.at_work(memory_bytes=self._memory_bytes, deadline=self._deadline):
            began = perf_counter()
            self._process.send(Batch(list(items)))
            while len(answers) < len(items):
                reply = await self._reply()
                self._process.restart_clock()
                if isinstance(reply, Converted | Failed):
                    answers.append(reply)
                    self.files_read += 1
                    now = perf_counter()
                    self._observe(reply, now - began)
                    began = now

    def _observe(self, reply: Converted | Failed, seconds: float) -> None:
        for observer in self._observers:
            if isinstance(reply, Converted):
                observer.file_ended(reply.conversion.media_type, "ok", seconds)
            else:
                observer.file_ended(UNKNOWN_TYPE, reply.code, seconds)

    async def _reply(self) -> Reply:
        return reply_decoder.decode(await self._process.receive())

    async def kill(self, reason: EndOfProcess = "closed") -> None:
        """End the process now and wait until it is gone."""
        await self._process.kill(reason)
