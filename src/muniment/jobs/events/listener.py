"""The one connection of a process on which changes of watched jobs are announced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg

from muniment.jobs.channels import EVENTS
from muniment.jobs.own_connection import keep_connection

_PING_SECONDS = 5.0


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
        await keep_connection(
            self._dsn,
            self.connected,
            self._prepare,
            name="muniment events",
            told=("cannot listen for changes of jobs", "lost the connection for changes of jobs"),
            ping_seconds=_PING_SECONDS,
            command_seconds=5,
        )

    async def _prepare(self, connection: asyncpg.Connection[Any]) -> None:
        await connection.add_listener(EVENTS, lambda *notice: self._on_change(UUID(str(notice[3]))))
        self.connected.set()
        self._on_connected()
