"""A worker's dedicated connection: its sign of life and its ear for new work.

While the connection lives the worker holds an advisory lock, and the server frees it the
moment the process dies. No clock is involved, so a worker that is merely starved of
processor time keeps its jobs. The lock belongs to a session: behind PgBouncer the address
given here must lead to Postgres itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from muniment.db import Database, load_statements
from muniment.jobs.channels import CONTROL, WORK
from muniment.jobs.outcome import DATABASE_TROUBLE

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.jobs")

_PING_SECONDS = 15.0
_SESSION = {
    "idle_session_timeout": "0",
    # The server finds out within seconds that the worker's machine is gone, not after hours.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


@dataclass(frozen=True, slots=True)
class _Session:
    connection: asyncpg.Connection[Any]


class Presence:
    """Keeps a worker's dedicated connection, and makes it anew when it is lost."""

    def __init__(
        self,
        dsn: str,
        worker_id: UUID,
        *,
        lanes: Iterable[str],
        on_work: Callable[[str], None],
        on_cancel: Callable[[UUID], None],
        on_connected: Callable[[], None],
    ) -> None:
        """Call `on_work` with each lane that gets work, `on_cancel` with each job to be cancelled.

        `on_connected` is called on each connection: more may have been announced while nobody
        listened. The lanes that the worker serves are told to whoever asks the server who is
        connected.
        """
        self._dsn = dsn
        self._worker_id = worker_id
        self._on_work = on_work
        self._on_cancel = on_cancel
        self._on_connected = on_connected
        self._session = _SESSION | {"application_name": " ".join(["muniment worker", *lanes])}
        self.held = asyncio.Event()
        """Set while the sign of life is held. Without it nothing may be claimed."""

    async def keep(self) -> None:
        """Hold the connection until cancelled."""
        pause = 0.05
        while True:
            try:
                connection = await asyncpg.connect(
                    self._dsn, server_settings=self._session, timeout=10, command_timeout=10
                )
            except (*DATABASE_TROUBLE, TimeoutError) as error:
                _log.warning("worker cannot reach the database", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
                continue
            pause = 0.05
            try:
                await self._stay(connection)
            except (*DATABASE_TROUBLE, TimeoutError) as error:
                _log.warning("worker lost its connection", error=str(error))
            finally:
                self.held.clear()
                connection.terminate()

    async def _stay(self, connection: asyncpg.Connection[Any]) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        await self._take_lock(connection)
        await connection.add_listener(WORK, lambda *notice: self._on_work(str(notice[3])))
        await connection.add_listener(CONTROL, lambda *notice: self._on_cancel(UUID(notice[3])))
        self.held.set()
        self._on_connected()
        while not lost.is_set():
            try:
                await asyncio.wait_for(lost.wait(), _PING_SECONDS)
            except TimeoutError:
                await _statements.ping(_Session(connection))

    async def _take_lock(self, connection: asyncpg.Connection[Any]) -> None:
        # Our own former session may take a moment to end after its connection broke.
        session = _Session(connection)
        while True:
            if await _statements.take_worker_lock(session, worker_id=self._worker_id):
                return
            await asyncio.sleep(0.1)


async def live_workers(database: Database) -> int:
    """Count the workers that serve this database now."""
    async with database.system() as uow:
        return int(await _statements.live_workers(uow))
