"""When sessions and API keys were last used, written down at most once a minute for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from typing import Generic, TypeVar
from uuid import UUID

import asyncpg
import structlog

from muniment.db import Database, load_statements
from muniment.errors import MunimentError

Id = TypeVar("Id", bound=Hashable)

FLUSH_SECONDS = 5.0
"""How late a use is written down."""
QUIET_SECONDS = 60.0
"""For so long a use is not written down again."""

_MOST = 10_000
"""Ids that are remembered; what is used beyond them is written down a little later."""
_BATCH = 1_000

_log = structlog.get_logger()
_statements = load_statements("muniment.tenancy.people")


class Recent(Generic[Id]):
    """Which ids of one kind were used and are not written down yet.

    Noting a use takes no more than a look into a dictionary.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none; `clock` returns seconds that never go back."""
        self._clock = clock
        self._noted: dict[Id, float] = {}
        """When each was noted last, the longest ago first."""
        self._waiting: dict[Id, None] = {}

    def note(self, used: Id) -> None:
        """Remember a use, unless one of the same id was noted within a minute."""
        if used in self._noted or len(self._noted) >= _MOST:
            return
        self._noted[used] = self._clock()
        self._waiting[used] = None

    def take(self) -> list[Id]:
        """Return up to 1,000 ids to write down, and forget those that may be noted again."""
        quiet_since = self._clock() - QUIET_SECONDS
        while self._noted:
            longest = next(iter(self._noted))
            if self._noted[longest] > quiet_since:
                break
            del self._noted[longest]
        batch = list(self._waiting)[:_BATCH]
        for one in batch:
            del self._waiting[one]
        return batch


class Touches:
    """Collects the uses of sessions and keys in one process and writes them in batches."""

    def __init__(self, database: Database) -> None:
        """Write to `database` when `flush` is called; see also `running`."""
        self._database = database
        self._sessions: Recent[bytes] = Recent()
        self._api_keys: Recent[UUID] = Recent()

    @classmethod
    @asynccontextmanager
    async def running(
        cls, database: Database, *, every: float = FLUSH_SECONDS
    ) -> AsyncIterator[Touches]:
        """Collect and write every few seconds, and once more when the context ends."""
        touches = cls(database)
        stop = asyncio.Event()
        writing = asyncio.create_task(touches._write(stop, every))
        try:
            yield touches
        finally:
            stop.set()
            await writing

    def session(self, token_hash: bytes) -> None:
        """Note that a session was used, by the SHA-256 of its token."""
        self._sessions.note(token_hash)

    def api_key(self, api_key_id: UUID) -> None:
        """Note that a key was used."""
        self._api_keys.note(api_key_id)

    async def flush(self) -> None:
        """Write down what was noted, one statement for each thousand of a kind.

        Raises:
            PoolExhausted, DatabaseUnavailable: what was about to be written is lost; the next
                use more than a minute later is noted again.
        """
        while hashes := self._sessions.take():
            async with self._database.single_statement() as work:
                await _statements.touch_sessions(work, hashes=hashes)
        while ids := self._api_keys.take():
            async with self._database.single_statement() as work:
                await _statements.touch_api_keys(work, ids=ids)

    async def _write(self, stop: asyncio.Event, every: float) -> None:
        stopping = False
        while not stopping:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every)
            stopping = stop.is_set()
            try:
                await self.flush()
            except (MunimentError, asyncpg.PostgresError, TimeoutError) as error:
                # A time that is a minute or two behind is no reason to stop noting them.
                _log.warning("last_use_not_written", reason=type(error).__name__)
