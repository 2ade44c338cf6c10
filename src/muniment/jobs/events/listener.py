"""The one connection of a process on which changes of watched jobs are announced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from muniment.db import load_statements
from muniment.jobs.channels import EVENTS
from muniment.jobs.outcome import DATABASE_TROUBLE

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.jobs.events")

_PING_SECONDS = 5.0
_SESSION = {
    "application_name": "muniment events",
    "idle_session_timeout": "0",
    # The server finds out within seconds that our machine is gone, not after hours.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


@dataclass(frozen=True, slots=True)
class _Session:
    connection: asyncpg.Connection[Any]


class EventListener:
    """Keeps the connection, and makes it anew when it is lost."""

    def __init__(
        self,
        dsn: str,
        *,
        on_change: Callable[[UUID], None],
        on_connected: Callable[[], None],
    ) -> None:
        """Call `on_change` with each job that changed, and `on_connected` on each connection.

        After the latter, changes may have been announced while nobody listened.
        """
        self.connected = asyncio.Event()
        """Set while changes are heard."""
        self._dsn = dsn
        self._on_change = on_change
        self._on_connected = on_connected

    async def keep(self) -> None:
        """Hold the connection until cancelled."""
        pause = 0.05
        while True:
            try:
                connection = await asyncpg.connect(
                    self._dsn, server_settings=_SESSION, timeout=10, command_timeout=5
                )
            except (*DATABASE_TROUBLE, TimeoutError) as error:
                _log.warning("cannot listen for changes of jobs", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
                continue
            pause = 0.05
            try:
                await self._stay(connection)
            except (*DATABASE_TROUBLE, TimeoutError) as error:
                _log.warning("lost the connection for changes of jobs", error=str(error))
            finally:
                self.connected.clear()
                connection.terminate()

    async def _stay(self, connection: asyncpg.Connection[Any]) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(EVENTS, lambda *notice: self._on_change(UUID(str(notice[3]))))
        self.connected.set()
        self._on_connected()
        while not lost.is_set():
            # `wait_for` could swallow a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(_PING_SECONDS):
                    await lost.wait()
                    return
            await _statements.ping(_Session(connection))
