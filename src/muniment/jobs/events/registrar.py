"""Registers which jobs this process watches, so that the changes of others cost nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from uuid import UUID

import structlog

from muniment.db import Database, load_statements, new_id
from muniment.jobs.outcome import DATABASE_TROUBLE

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.jobs.events")

LEASE = timedelta(seconds=60)
_RENEW_SECONDS = 20.0
_SETTLE_SECONDS = 2.0


class Registrar:
    """Keeps the registrations of one process, those of many jobs in one statement."""

    def __init__(self, database: Database) -> None:
        self.watcher = new_id()
        self._database = database
        self._wanted: Counter[UUID] = Counter()
        self._registered: set[UUID] = set()
        self._known: dict[UUID, asyncio.Event] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._renew_at = monotonic() + _RENEW_SECONDS

    def want(self, job_id: UUID) -> asyncio.Event:
        """Watch a job; return the event that is set once its registration is committed."""
        self._wanted[job_id] += 1
        if job_id not in self._known:
            self._known[job_id] = asyncio.Event()
            self._wake.set()
        return self._known[job_id]

    def leave(self, job_id: UUID) -> None:
        """Watch a job no more, as often as `want` was called for it."""
        self._wanted[job_id] -= 1
        if self._wanted[job_id] <= 0:
            del self._wanted[job_id]
            self._known.pop(job_id).clear()
            self._wake.set()

    async def keep(self) -> None:
        """Write what changes and renew the lease, until cancelled."""
        pause = 0.1
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._renew_at - monotonic())):
                    await self._wake.wait()
            self._wake.clear()
            self._idle.clear()
            try:
                await self._write()
            except DATABASE_TROUBLE as error:
                _log.warning("watched jobs not registered", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
                self._wake.set()
                continue
            finally:
                self._idle.set()
            pause = 0.1

    async def settled(self) -> None:
        """Wait until nothing is being written, or for a moment at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                await self._idle.wait()

    async def end(self) -> None:
        """Take every registration back, if the database answers."""
        self._wanted.clear()
        self._known.clear()
        with suppress(*DATABASE_TROUBLE, TimeoutError):
            async with asyncio.timeout(2):
                await self._write()

    async def _write(self) -> None:
        events = dict(self._known)
        renewing = monotonic() >= self._renew_at
        begin = list(events if renewing else events.keys() - self._registered)
        end = list(self._registered - events.keys())
        if begin or end:
            async with self._database.system() as work:
                if begin:
                    await _statements.watch_jobs(
                        work, job_ids=begin, watcher=self.watcher, lease=LEASE
                    )
                if end:
                    await _statements.stop_watching(work, job_ids=end, watcher=self.watcher)
        if renewing:
            self._renew_at = monotonic() + _RENEW_SECONDS
        self._registered = set(events)
        for event in events.values():
            event.set()
