"""A worker's dedicated connection: its sign of life and its ear for new work.

While the connection lives the worker holds an advisory lock, and the server frees it the
moment the process dies. No clock is involved, so a worker that is merely starved of
processor time keeps its jobs. The lock belongs to a session: behind PgBouncer the address
given here must lead to Postgres itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import asyncpg

from muniment.db import Database, load_statements
from muniment.jobs.channels import CONTROL, WORK
from muniment.jobs.own_connection import Session, keep_connection

_statements = load_statements("muniment.jobs")

_PING_SECONDS = 15.0


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
        self._name = " ".join(["muniment worker", *lanes])
        self.held = asyncio.Event()
        """Set while the sign of life is held. Without it nothing may be claimed."""

    async def keep(self) -> None:
        """Hold the connection until cancelled."""
        await keep_connection(
            self._dsn,
            self.held,
            self._prepare,
            name=self._name,
            told=("worker cannot reach the database", "worker lost its connection"),
            ping_seconds=_PING_SECONDS,
            command_seconds=10,
        )

    async def _prepare(self, connection: asyncpg.Connection[Any]) -> None:
        await self._take_lock(connection)
        await connection.add_listener(WORK, lambda *notice: self._on_work(str(notice[3])))
        await connection.add_listener(CONTROL, lambda *notice: self._on_cancel(UUID(notice[3])))
        self.held.set()
        self._on_connected()

    async def _take_lock(self, connection: asyncpg.Connection[Any]) -> None:
        # Our own former session may take a moment to end after its connection broke.
        session = Session(connection)
        while True:
            if await _statements.take_worker_lock(session, worker_id=self._worker_id):
                return
            await asyncio.sleep(0.1)


async def live_workers(database: Database) -> int:
    """Count the workers that serve this database now."""
    async with database.system() as uow:
        return int(await _statements.live_workers(uow))
