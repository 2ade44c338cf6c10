"""Converting files in killable, recycled processes, many at a time, off the event loop."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from muniment.documents.conversion import Conversion, ConversionItem
from muniment.documents.conversion_wire import Converted, Failed, Setup
from muniment.documents.convert_errors import (
    ConversionCrashed,
    ConversionError,
    ConversionMemory,
    ConversionTimeout,
    ConversionUnavailable,
    conversion_error,
)
from muniment.documents.extract import Limits
from muniment.documents.observers import UNKNOWN_TYPE, ConversionObserver
from muniment.documents.process_handle import ConversionProcess
from muniment.processes.handle import Death, ProcessDied
from muniment.spans import stage

__all__ = ["Conversion", "ConversionItem", "Converter", "Limits"]

_MOST_FILES_IN_BATCH = 64
_MOST_BYTES_IN_BATCH = 2 * 1024 * 1024
_SWOLLEN = 0.6
"""Share of the memory ceiling above which an idle process is replaced."""


class Converter:
    """A pool of conversion processes.

    Args:
        tokenizer: the embedder's `tokenizer.json`; chunks are measured by it.
        spool: folder for results that are too large to pass in memory; a new one in the system's
            place for temporary files by default. What is in it goes with the converter.
        processes: how many files are read at the same time.
        token_budget: most tokens of a chunk.
        deadline: seconds for one file; for each part of a text above 8 MiB, read in parts.
        memory_mb: ceiling of resident memory of one process, in MiB.
        recycle_after: files after which a process is replaced, so that leaks do not add up.
        limits: what one file may take.
        observers: told of each file.

    Use as an async context manager, or call `close`.
    """

    def __init__(
        self,
        tokenizer: Path,
        *,
        spool: Path | None = None,
        processes: int = 2,
        token_budget: int = 256,
        deadline: float = 120.0,
        memory_mb: int = 512,
        recycle_after: int = 2000,
        limits: Limits | None = None,
        observers: Sequence[ConversionObserver] = (),
    ) -> None:
        self._tokenizer = tokenizer
        self._spool_parent = spool
        self._token_budget = token_budget
        self._deadline = deadline
        self._memory_bytes = memory_mb * 1024 * 1024
        self._recycle_after = recycle_after
        self._limits = limits or Limits(ocr_seconds=deadline * 2 / 3)
        self._processes = processes
        self._observers = observers
        self._slots = asyncio.Semaphore(processes)
        self._idle: list[ConversionProcess] = []
        self._setup: Setup | None = None
        self._setup_lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the idle processes and remove what is spooled; call it when nothing is running."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(process.kill() for process in idle))
        if self._setup is not None:
            await asyncio.to_thread(shutil.rmtree, self._setup.spool, ignore_errors=True)
            self._setup = None

    async def warm_up(self) -> None:
        """Start all processes, so that the first file need not wait for one."""
        setup = await self._ready()
        missing = self._processes - len(self._idle)
        self._idle.extend(await asyncio.gather(*(self._start(setup) for _ in range(missing))))

    async def convert(
        self,
        path: Path,
        *,
        filename: str,
        media_type: str | None = None,
        title: str | None = None,
        passwords: tuple[str, ...] = (),
    ) -> Conversion:
        """Convert one file; see `ConversionItem` for the arguments.

        Raises:
            ConversionError: the file cannot be converted; the class tells why.
        """
        item = ConversionItem(path, filename, media_type, title, passwords)
        [result] = await self.convert_many([item])
        if isinstance(result, ConversionError):
            raise result
        return result

    async def convert_many(
        self, items: Sequence[ConversionItem]
    ) -> list[Conversion | ConversionError]:
        """Convert files, small ones in batches; return a result for each, in order.

        A file that crashes, hangs or fills its process costs the others nothing but time.
        Cancelling ends the processes at work.
        """
        results: dict[int, Conversion | ConversionError] = {}
        sizes = await asyncio.to_thread(_sizes, items)
        with stage("convert files", {"muniment.files": len(items)}):
            async with asyncio.TaskGroup() as group:
                for batch in _batches(sizes):
                    group.create_task(self._convert_batch(items, batch, results))
        return [results[index] for index in range(len(items))]

    async def _convert_batch(
        self,
        items: Sequence[ConversionItem],
        batch: Sequence[int],
        results: dict[int, Conversion | ConversionError],
    ) -> None:
        """Convert `items[i]` for i in `batch`, going on after each file that ends its process."""
        left = list(batch)
        fresh = False
        while left:
            answers: list[Converted | Failed] = []
            died: ProcessDied | None = None
            is_new = True
            async with self._slots:
                try:
                    process, is_new = await self._take(fresh=fresh)
                    await process.read([items[index] for index in left], answers)
                    await self._give_back(process)
                except ProcessDied as death:
                    died = death
                except ConversionUnavailable as unavailable:
                    results.update(dict.fromkeys(left, unavailable))
                    return
            for answer in answers:
                results[left.pop(0)] = (
                    answer.conversion
                    if isinstance(answer, Converted)
                    else conversion_error(answer.code, answer.detail)
                )
            fresh = False
            if died is not None:
                # What earlier files left behind may have been the cause: then once more, alone.
                if (answers or not is_new) and died.death is not Death.TIMEOUT:
                    fresh = True
                else:
                    results[left.pop(0)] = fatal = self._fatal(died)
                    for observer in self._observers:
                        observer.file_ended(UNKNOWN_TYPE, fatal.code, None)

    async def _take(self, *, fresh: bool) -> tuple[ConversionProcess, bool]:
        """Return a process of the pool, or a new one and True."""
        while self._idle and not fresh:
            process = self._idle.pop()
            if process.alive:
                return process, False
            await process.kill("crash")
        return await self._start(await self._ready()), True

    async def _start(self, setup: Setup) -> ConversionProcess:
        return await ConversionProcess.start(
            setup, memory_bytes=self._memory_bytes, observers=self._observers
        )

    async def _give_back(self, process: ConversionProcess) -> None:
        """Return a process to the pool unless it is due to be recycled."""
        swollen = process.resident_bytes > self._memory_bytes * _SWOLLEN
        surplus = len(self._idle) >= self._processes
        if process.files_read >= self._recycle_after or swollen or surplus:
            await process.kill("recycled")
        else:
            self._idle.append(process)

    async def _ready(self) -> Setup:
        async with self._setup_lock:
            if self._setup is None:
                try:
                    folder = await asyncio.to_thread(
                        tempfile.mkdtemp, prefix="muniment-conversion-", dir=self._spool_parent
                    )
                except OSError as error:
                    raise ConversionUnavailable(
                        f"No folder for temporary files can be made: {error.strerror}."
                    ) from error
                self._setup = Setup(
                    tokenizer=self._tokenizer,
                    token_budget=self._token_budget,
                    deadline=self._deadline,
                    spool=Path(folder),
                    limits=self._limits,
                )
            return self._setup

    def _fatal(self, died: ProcessDied) -> ConversionError:
        if died.death is Death.TIMEOUT:
            return ConversionTimeout(
                f"Reading the document took more than {self._deadline:.0f} seconds."
            )
        if died.death is Death.MEMORY:
            mib = self._memory_bytes // (1024 * 1024)
            return ConversionMemory(f"Reading the document took more than {mib} MiB of memory.")
        if died.exit_code == -signal.SIGKILL:
            return ConversionMemory(
                "The process that read the document was killed, most likely for lack of memory."
            )
        code = died.exit_code
        how = signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
        return ConversionCrashed(f"The process that read the document crashed on it ({how}).")


def _sizes(items: Iterable[ConversionItem]) -> list[int]:
    sizes = []
    for item in items:
        try:
            sizes.append(item.path.stat().st_size)
        except OSError:  # its conversion will say so
            sizes.append(0)
    return sizes


def _batches(sizes: Sequence[int]) -> Iterable[list[int]]:
    batch: list[int] = []
    filled = 0
    for index, size in enumerate(sizes):
        full = len(batch) >= _MOST_FILES_IN_BATCH or filled + size > _MOST_BYTES_IN_BATCH
        if batch and full:
            yield batch
            batch, filled = [], 0
        batch.append(index)
        filled += size
    if batch:
        yield batch
