"""One scrape shows every process of this machine.

Each process tells its metrics on a Unix socket in the data directory, and the one that is scraped
asks them all. A process takes the lowest free place of its role (`worker` 0, 1, ...), which a lock
on a file holds for as long as it lives, however it ends: so a series is never that of two
processes, one that is started again goes on with the series of the one before, and there are no
more series than processes at a time.

The multiprocess mode of prometheus_client was no way: it knows no collectors of one's own (pools,
caches, processes, the queue), adds counters of all processes up, and keeps a file of each that
ever ran.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import msgspec
import structlog
from prometheus_client.exposition import choose_encoder

from muniment.observability.metrics.exposition import Snapshot, merged, snapshot

if TYPE_CHECKING:
    from muniment.observability.metrics.metrics import Metrics

ANSWER_SECONDS = 1.0
"""A process that needs longer to tell its metrics is left out of the scrape."""
MOST_PROCESSES = 100
"""Places of one role."""
_LONGEST_PATH = 100
"""Bytes of the path of a Unix socket that every system allows."""

_log = structlog.get_logger(__name__)
_decoder = msgspec.msgpack.Decoder(Snapshot)


class Exposition:
    """The metrics of this process, and of its neighbours where there is a folder to meet in."""

    def __init__(self, metrics: Metrics, folder: Path | None = None, slot: int = 0) -> None:
        self._metrics = metrics
        self._folder = folder
        self.slot = slot
        """The place of this process among those of its role."""

    async def own(self, accept: str) -> tuple[bytes, str]:
        """Return what this process knows, without saying which it is, and its media type."""
        return await asyncio.to_thread(self._metrics.render, accept)

    async def gathered(self, accept: str) -> tuple[bytes, str]:
        """Return what all processes of this machine know, and its media type.

        A process that does not answer within a second is told as not up.
        """
        media_type = choose_encoder(accept)[1]
        sockets = await asyncio.to_thread(self._neighbours)
        own, answers = await asyncio.gather(
            self._snapshot(), asyncio.gather(*(_ask(path) for path in sockets))
        )
        told = [one for one in answers if one is not None]
        silent = [
            _place_of(path) for path, one in zip(sockets, answers, strict=True) if one is None
        ]
        body = await asyncio.to_thread(
            merged, [own, *told], silent, openmetrics=media_type.startswith("application/")
        )
        return body, media_type

    async def tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Tell a neighbour that has connected what this process knows."""
        del reader  # a connection is the question
        with suppress(OSError):
            writer.write(msgspec.msgpack.encode(await self._snapshot()))
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _snapshot(self) -> Snapshot:
        return await asyncio.to_thread(snapshot, self._metrics, str(self.slot))

    def _neighbours(self) -> list[Path]:
        """Return the sockets of the others that live; what the dead left behind is removed."""
        if self._folder is None:
            return []
        own = _socket(self._folder, self._metrics.role, self.slot)
        return [
            path
            for path in sorted(self._folder.glob("*.sock"))
            if path != own and not _removed_if_dead(path)
        ]


@asynccontextmanager
async def joined(metrics: Metrics, data_dir: Path) -> AsyncIterator[Exposition]:
    """Take a place among the processes of this machine, and tell those who ask, meanwhile.

    Where that is not possible (no such sockets, a folder that cannot be written) the process is
    alone, which is logged.
    """
    async with AsyncExitStack() as stack:
        try:
            folder = await asyncio.to_thread(_meeting_place, data_dir)
            slot = stack.enter_context(_place(folder, metrics.role))
            exposition = Exposition(metrics, folder, slot)
            listener = stack.enter_context(_listening(_socket(folder, metrics.role, slot)))
            await stack.enter_async_context(
                await asyncio.start_unix_server(exposition.tell, sock=listener)
            )
        except (OSError, AttributeError, NotImplementedError) as error:
            _log.warning("metrics_of_this_process_alone", reason=str(error))
            exposition = Exposition(metrics)
        yield exposition


def _meeting_place(data_dir: Path) -> Path:
    """Return the folder where the processes of this machine and data directory meet.

    A data directory may be shared by several machines, each of which is scraped by itself.

    Raises:
        OSError: it cannot be made, or belongs to somebody else.
    """
    machine = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    folder = data_dir.absolute() / "run" / f"metrics-{machine}"
    longest = _socket(folder, "embedding-worker", MOST_PROCESSES)
    if len(os.fsencode(longest)) > _LONGEST_PATH:
        name = hashlib.sha256(os.fsencode(data_dir.absolute())).hexdigest()[:12]
        folder = Path(tempfile.gettempdir(), f"muniment-{name}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    # In a folder for everybody, somebody else may have made it first.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not ours")
    folder.chmod(0o700)
    return folder


@contextmanager
def _place(folder: Path, role: str) -> Iterator[int]:
    """Hold the lowest free place of a role; who leaves in good order leaves nothing behind."""
    for slot in range(MOST_PROCESSES):
        path = folder / f"{role}-{slot}.lock"
        lock = filelock.FileLock(path, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            continue
        try:
            yield slot
        finally:
            # While it is held: whoever opened it a moment ago sees that it is gone.
            path.unlink(missing_ok=True)
            lock.release()
            with suppress(OSError):
                folder.rmdir()  # unless others are there
        return
    raise BlockingIOError(f"{folder} has no place left for another {role}")


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """Listen on a socket of our own place; one that is there was left behind by a dead process."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(16)
        listener.setblocking(False)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _removed_if_dead(path: Path) -> bool:
    """Remove a socket whose process has ended; tell whether it had."""
    lock = filelock.FileLock(path.with_suffix(".lock"), thread_local=False)
    try:
        with lock.acquire(blocking=False):
            path.unlink(missing_ok=True)
    except filelock.Timeout:
        return False
    return True


async def _ask(path: Path) -> Snapshot | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(path))
            try:
                return _decoder.decode(await reader.read())
            finally:
                writer.close()
    except (OSError, TimeoutError, msgspec.MsgspecError):
        return None


def _socket(folder: Path, role: str, slot: int) -> Path:
    return folder / f"{role}-{slot}.sock"


def _place_of(path: Path) -> tuple[str, str]:
    role, _, slot = path.stem.rpartition("-")
    return role, slot
