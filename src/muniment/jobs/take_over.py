"""Take over the jobs of workers that died, and notice when our own were taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import structlog

from muniment.db import Database, load_statements
from muniment.jobs.outcome import DATABASE_TROUBLE
from muniment.jobs.presence import Presence

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.jobs")

_LOOK_SECONDS = 1.5
_BEAT_SECONDS = 30.0
_SILENCE = timedelta(minutes=15)
"""A worker that is connected but has not moved for this long is stuck, not starved."""


class TakeOver:
    """Watches the other workers' signs of life and shows our own."""

    def __init__(self, database: Database, worker_id: UUID, presence: Presence) -> None:
        self._database = database
        self._worker_id = worker_id
        self._presence = presence
        self._beat_now = asyncio.Event()

    async def watch(self) -> None:
        """Queue the jobs of dead workers again until cancelled.

        The first look acts at once, for whoever was killed before we were started. Later a
        worker must look dead twice, because one that has lost its connection to a restarting
        server needs a moment to come back. Even if it comes later nothing is done twice:
        `RunningJob.unit_of_work` and `finish_jobs` act only for the worker that has the job.
        """
        suspects: set[UUID] | None = None
        while True:
            await self._presence.held.wait()
            try:
                suspects = await self._look(suspects)
            except DATABASE_TROUBLE as error:
                _log.warning("cannot look after other workers", error=str(error))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self, suspects: set[UUID] | None) -> set[UUID]:
        async with self._database.system() as uow:
            rows = await _statements.dead_workers(uow, worker_id=self._worker_id)
            missing = {row["worker_id"] for row in rows}
            dead = missing if suspects is None else missing & suspects
            if not dead:
                return missing
            taken = await _statements.take_over_jobs(uow, dead=list(dead), silence=_SILENCE)
        _log.warning(
            "jobs of dead workers taken over",
            workers=len(dead),
            jobs=len(taken),
            failed=[str(row["job_id"]) for row in taken if row["status"] == "failed"],
        )
        return missing

    def hurry(self) -> None:
        """Look at once whether our jobs are still ours: the connection was away for a while."""
        self._beat_now.set()

    async def beat(
        self,
        ours: Callable[[], set[UUID]],
        lost: Callable[[set[UUID]], None],
        cancel: Callable[[UUID], None],
    ) -> None:
        """Renew our jobs' heartbeat until cancelled.

        Tells `lost` which are no longer ours, and `cancel` which somebody wants to end, in case
        its notice did not reach us. `ours` returns the ids of the jobs that run here.
        """
        while True:
            await self._presence.held.wait()
            self._beat_now.clear()
            believed = ours()
            try:
                async with self._database.system() as uow:
                    rows = await _statements.beat(uow, worker_id=self._worker_id)
                    # Those that have fallen silent although their worker is connected.
                    await _statements.take_over_jobs(uow, dead=[], silence=_SILENCE)
            except DATABASE_TROUBLE as error:
                _log.warning("heartbeat failed", error=str(error))
            else:
                if gone := believed - {row["job_id"] for row in rows}:
                    lost(gone)
                for row in rows:
                    if row["cancel_requested"]:
                        cancel(row["job_id"])
            with suppress(TimeoutError):
                await asyncio.wait_for(self._beat_now.wait(), _BEAT_SECONDS)
