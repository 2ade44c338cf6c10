"""One who watches a job: holds the newest state that was not taken yet, and nothing older."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from muniment.jobs.schemas import JobDetail

if TYPE_CHECKING:
    from muniment.jobs.events.feed import Feed


class Watch:
    """The changes of a job for one reader. Made by `JobEvents.watch`."""

    def __init__(self, feed: Feed) -> None:
        self.ended = False
        """The job is gone, or the process stops."""
        self._feed = feed
        self._newest: JobDetail | None = None
        self._told: JobDetail | None = None
        self._wake = asyncio.Event()

    def offer(self, state: JobDetail) -> None:
        """Take a newer state in place of the one before."""
        self._newest = state
        self._wake.set()

    def end(self) -> None:
        """Tell the reader that nothing more comes."""
        self.ended = True
        self._wake.set()

    async def first(self, seconds: float) -> JobDetail:
        """Return the state now, from where on no change will be missed.

        Raises:
            TimeoutError: the database did not let us register in time.
            JobNotFound: the job is gone.
            ServiceUnavailable, asyncpg.PostgresError: it could not be read.
        """
        async with asyncio.timeout(seconds):
            await self._feed.ready()
        self._told = await self._feed.first()
        return self._told

    async def change(self, seconds: float) -> JobDetail | None:
        """Return the next state that differs from the last, or None if none comes in time.

        Returns None at once when the watch has `ended`.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.ended:
                    await self._wake.wait()
                    self._wake.clear()
                    state, self._newest = self._newest, None
                    if state is not None and state != self._told:
                        self._told = state
                        return state
        return None
