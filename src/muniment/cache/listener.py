"""The ear of the cache: a connection of its own that hears what other processes commit.

What it says about itself is a lease, not a state: it vouches for the caches only for a moment
after Postgres last answered. A process that was stopped, starved or cut off thus finds its lease
run out before it serves what it should have forgotten. Answers and notifications come over one
connection in order, so an answer proves that all earlier announcements have arrived.

Behind PgBouncer the address must lead to Postgres itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import uuid4

import asyncpg
import structlog

from muniment.cache.history import History
from muniment.cache.roll_call import QUESTION, RollCall
from muniment.db import load_statements
from muniment.db.announcements import CHANNEL
from muniment.errors import ServiceUnavailable

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.cache")

PING_SECONDS = 1.0
LEASE_SECONDS = 3.0
"""How long an answer vouches, counted from when its ping was sent."""
_ANSWER_SECONDS = 2.0
_MARK = "#"
_LISTENER = "muniment cache"
_ANSWERS = f"{CHANNEL}_answers_"
"""Begins the name of the channel over which a process is answered."""
_SESSION = {
    "application_name": _LISTENER,
    "idle_session_timeout": "0",
    # The server finds out within seconds that our machine is gone, not after hours.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
TROUBLE = (
    ServiceUnavailable,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What is outlived by connecting again."""


@dataclass(frozen=True, slots=True)
class _Session:
    connection: asyncpg.Connection[Any]


class Listener:
    """Listens, keeps the history, and connects again when the connection is lost."""

    def __init__(
        self,
        dsn: str,
        history: History,
        *,
        on_announced: Callable[[Collection[str]], None],
        on_restart: Callable[[], None],
    ) -> None:
        """Call `on_announced` with tags, and `on_restart` when some may have been missed.

        Both are called after the history was told, in the event loop.
        """
        self.trusted_until = 0.0
        """Until when, on the clock `time.monotonic`, nothing can have been missed."""
        self.started = asyncio.Event()
        """Set while the connection is there and vouches."""
        self._dsn = dsn
        self._history = history
        self._on_announced = on_announced
        self._on_restart = on_restart
        self._own_mark = ""
        self._sent = 0
        self._answered = 0
        self._hurry = asyncio.Event()
        self._waiting: dict[int, asyncio.Event] = {}
        self._roll = RollCall()

    def trusts(self, now: float) -> bool:
        """Tell whether nothing can have been missed at a time of `time.monotonic`."""
        return now < self.trusted_until

    def ping_soon(self) -> int:
        """Ask for a ping that has not been sent yet, and return its number."""
        self._hurry.set()
        return self._sent + 1

    async def answer(self, ping: int, seconds: float) -> bool:
        """Wait until a ping was answered; tell whether it was in time."""
        if self._answered >= ping:
            return True
        waiting = self._waiting.setdefault(ping, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                await waiting.wait()
        except TimeoutError:
            return False
        return True

    async def heard_everywhere(self) -> None:
        """Wait until no process can show what was announced to be stale before this call.

        Each has heard it or, after `LEASE_SECONDS` at most, does not trust its caches. Nobody
        waits while our own connection is not there.
        """
        if self.trusts(monotonic()):
            await self._roll.wait(self._hurry, LEASE_SECONDS)

    async def listen(self) -> None:
        """Hold the connection until cancelled."""
        pause = 0.05
        while True:
            try:
                connection = await asyncpg.connect(
                    self._dsn, server_settings=_SESSION, timeout=10, command_timeout=_ANSWER_SECONDS
                )
            except TROUBLE as error:
                _log.warning("the cache cannot hear invalidations", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
                continue
            try:
                await self._stay(connection)
            except TROUBLE as error:
                _log.warning("the cache lost its listening connection", error=str(error))
            finally:
                self._stop_trusting()
                connection.terminate()
            await asyncio.sleep(pause)
            pause = 0.05

    async def _stay(self, connection: asyncpg.Connection[Any]) -> None:
        lost = asyncio.Event()
        session = _Session(connection)

        def on_lost(_: Any) -> None:
            lost.set()
            self._stop_trusting()
            self._hurry.set()

        connection.add_termination_listener(on_lost)
        await connection.add_listener(
            CHANNEL, lambda *notice: self._hear(notice[1], str(notice[3]))
        )
        await connection.add_listener(
            _ANSWERS + self._roll.asker,
            lambda *notice: self._roll.answer(notice[1], int(str(notice[3]))),
        )
        sent = monotonic()
        self._own_mark = f"{_MARK}{uuid4().hex}"
        await _statements.announce_mark(session, channel=CHANNEL, mark=self._own_mark)
        while self._own_mark and not lost.is_set():
            # Our own mark comes back with one of the next answers.
            await _statements.ping(session)
        while not lost.is_set():
            self._vouch(sent)
            # `wait_for` could swallow a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(PING_SECONDS):
                    await self._hurry.wait()
            self._hurry.clear()
            sent = monotonic()
            self._sent += 1
            await self._ask(session)

    async def _ask(self, session: _Session) -> None:
        """Send what proves that the connection lives: what is due, or else a ping."""
        owed = self._roll.owed()
        if owed:
            await _statements.answer_the_roll(
                session, prefix=_ANSWERS, askers=list(owed), questions=list(owed.values())
            )
        question = self._roll.begin()
        if question is not None:
            rows = await _statements.call_the_roll(
                session, channel=CHANNEL, question=question, listener=_LISTENER
            )
            self._roll.present({row["pid"] for row in rows})
        elif not owed:
            await _statements.ping(session)

    def _hear(self, pid: int, payload: str) -> None:
        if payload == self._own_mark:
            self._own_mark = ""
            self._history.restart(payload)
            self._on_restart()
        elif payload.startswith(_MARK):
            self._history.add_mark(payload)
            # Whoever just began to listen has nothing cached from before.
            self._roll.joined(pid)
        elif payload.startswith(QUESTION):
            if self._roll.asked(payload):
                self._hurry.set()
        else:
            tags = payload.split(" ")
            self._history.announced(tags)
            self._on_announced(tags)

    def _vouch(self, sent: float) -> None:
        self._answered = self._sent
        self._history.answered(self._answered)
        self.trusted_until = sent + LEASE_SECONDS
        self.started.set()
        for ping in [ping for ping in self._waiting if ping <= self._answered]:
            self._waiting.pop(ping).set()

    def _stop_trusting(self) -> None:
        self.trusted_until = 0.0
        self.started.clear()
        self._roll.reset()
