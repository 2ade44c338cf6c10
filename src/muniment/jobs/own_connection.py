"""A connection of one's own, outside of the pools: for hearing notices and holding locks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from muniment.db import load_statements
from muniment.jobs.outcome import DATABASE_TROUBLE

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.jobs")

_SETTINGS = {
    "idle_session_timeout": "0",
    # The server finds out within seconds that our machine is gone, not after hours.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


@dataclass(frozen=True, slots=True)
class Session:
    """What named statements run on."""

    connection: asyncpg.Connection[Any]


async def keep_connection(
    dsn: str,
    held: asyncio.Event,
    prepare: Callable[[asyncpg.Connection[Any]], Awaitable[None]],
    *,
    name: str,
    told: tuple[str, str],
    ping_seconds: float,
    command_seconds: float,
) -> None:
    """Hold a connection until cancelled, and make it anew when it is lost.

    Args:
        dsn: where; behind PgBouncer it must lead to Postgres itself.
        held: cleared when the connection is lost.
        prepare: called with each connection; takes locks, begins to listen, sets `held`.
        name: as which it shows among the server's sessions.
        told: what is logged when there is no connection to be had, and when one is lost.
        ping_seconds: pause between two looks whether it still leads to the server.
        command_seconds: time that the server has for an answer.
    """
    pause = 0.05
    settings = _SETTINGS | {"application_name": name}
    while True:
        try:
            connection = await asyncpg.connect(
                dsn, server_settings=settings, timeout=10, command_timeout=command_seconds
            )
        except (*DATABASE_TROUBLE, TimeoutError) as error:
            _log.warning(told[0], error=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)
            continue
        pause = 0.05
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _, lost=lost: lost.set())
            await prepare(connection)
            await _ping_until(lost, connection, ping_seconds)
        except (*DATABASE_TROUBLE, TimeoutError) as error:
            _log.warning(told[1], error=str(error))
        finally:
            held.clear()
            connection.terminate()


async def _ping_until(
    lost: asyncio.Event, connection: asyncpg.Connection[Any], seconds: float
) -> None:
    while not lost.is_set():
        # `wait_for` could swallow a cancellation that comes together with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await lost.wait()
                return
        await _statements.ping(Session(connection))
