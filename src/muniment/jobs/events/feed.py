"""The state of one watched job, read when it changed and shared by all who watch it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from muniment.db import Database, TenantScope, load_statements
from muniment.jobs.errors import JobNotFound
from muniment.jobs.listing import job_detail
from muniment.jobs.outcome import DATABASE_TROUBLE
from muniment.jobs.schemas import JobDetail

if TYPE_CHECKING:
    from muniment.jobs.events.watch import Watch

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.jobs.events")

PACE_SECONDS = 0.25
"""A job is read this often at most, however often it changes."""
_SHARE = 10
"""And no oftener than that reading takes a tenth of the time, for parents of very many."""
_SETTLE_SECONDS = 1.0
"""Whoever changed a child when its parent began to be watched has committed by then."""
_HEARD_SECONDS = 2.0


class Feed:
    """Reads a job when it is told to, and hands the state to its watches."""

    def __init__(
        self,
        database: Database,
        scope: TenantScope,
        job_id: UUID,
        *,
        registered: asyncio.Event,
        heard: asyncio.Event,
        reading: asyncio.Semaphore,
    ) -> None:
        """Take what says that changes are announced and heard, and what bounds the connections."""
        self.job_id = job_id
        self.watches: set[Watch] = set()
        self.state: JobDetail | None = None
        self._database = database
        self._scope = scope
        self._reading = reading
        self._registered = registered
        self._heard = heard
        self._dirty = asyncio.Event()
        self._busy = False
        self._ending = False
        self._reads: set[asyncio.Task[JobDetail]] = set()
        self.task: asyncio.Task[None]
        """Runs `run`."""

    def changed(self) -> None:
        """Tell that the job may have changed."""
        self._dirty.set()

    def stop(self) -> None:
        """Read no more. A read that is under way ends by itself, since its connection is lent."""
        self._ending = True
        if not self._busy:
            self.task.cancel()

    async def ready(self) -> None:
        """Wait until changes are announced to us, and for a moment until we hear them.

        What we do not hear yet is read when we do, see `changed`.
        """
        await self._registered.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_HEARD_SECONDS):
                await self._heard.wait()

    async def first(self) -> JobDetail:
        """Return the state now, after waiting for whoever changes the job.

        A reader that is cancelled does not cut the read short either.

        Raises:
            JobNotFound: the job is gone.
            ServiceUnavailable, asyncpg.PostgresError: it could not be read.
        """
        reading = asyncio.create_task(self._read(hold=True))
        self._reads.add(reading)
        reading.add_done_callback(self._reads.discard)
        return await asyncio.shield(reading)

    async def _read(self, *, hold: bool = False) -> JobDetail:
        async with self._reading, self._database.unit_of_work(self._scope) as work:
            if hold:
                await _statements.hold_job(work, job_id=self.job_id)
            return await job_detail(work, self.job_id)

    async def run(self) -> None:
        """Read and hand on until stopped, or until the job is gone."""
        await self.ready()
        self._dirty.clear()
        asyncio.get_running_loop().call_later(_SETTLE_SECONDS, self._dirty.set)
        while not self._ending:
            await self._dirty.wait()
            self._dirty.clear()
            began = monotonic()
            self._busy = True
            try:
                state = await self._read()
            except JobNotFound:
                for watch in self.watches:
                    watch.end()
                return
            except DATABASE_TROUBLE as error:
                _log.warning("watched job not read", job_id=str(self.job_id), error=str(error))
                self._dirty.set()
                state = None
            finally:
                self._busy = False
            if state is not None and state != self.state:
                self.state = state
                for watch in self.watches:
                    watch.offer(state)
            if not self._ending:
                await asyncio.sleep(max(PACE_SECONDS, _SHARE * (monotonic() - began)))
