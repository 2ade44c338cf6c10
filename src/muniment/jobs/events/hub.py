"""All watches of a process: one connection that listens, one registration and feed a job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from typing import Any
from uuid import UUID

from muniment.db import Database, OrgId, TenantScope, WorkspaceId
from muniment.jobs.errors import TooManyEventStreams
from muniment.jobs.events.feed import Feed
from muniment.jobs.events.listener import EventListener
from muniment.jobs.events.registrar import Registrar
from muniment.jobs.events.watch import Watch

_AT_ONCE = 2
"""Connections of the pool that feeds may hold at a time, however many jobs are watched."""
_RETRY_SECONDS = 5.0
_CLOSE_SECONDS = 2.0

_Key = tuple[OrgId, WorkspaceId | None, UUID]
"""Whoever may see the same shares a feed."""


class JobEvents:
    """Lets readers watch jobs; holds nothing until the first one does."""

    def __init__(self, database: Database, most: int) -> None:
        """At most so many watches at a time. See `running`."""
        self._database = database
        self._most = most
        self._feeds: dict[_Key, Feed] = {}
        self._watches = 0
        self._closing = False
        self._registrar = Registrar(database)
        self._listener = EventListener(
            database.dsn, on_change=self._changed, on_connected=self._connected
        )
        self._reading = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def running(cls, database: Database, most: int = 1000) -> AsyncIterator[JobEvents]:
        """Open the events of a process, and end every watch when the context ends."""
        events = cls(database, most)
        try:
            yield events
        finally:
            await events._close()

    @property
    def watches(self) -> int:
        """How many watch a job now."""
        return self._watches

    def require_room(self) -> None:
        """Let one more watch pass.

        Raises:
            TooManyEventStreams: there are as many as there may be.
        """
        if self._watches >= self._most:
            raise TooManyEventStreams(retry_after=_RETRY_SECONDS)

    def stop(self) -> None:
        """End every watch; no connection is held by one that waits."""
        self._closing = True
        for feed in self._feeds.values():
            for watch in feed.watches:
                watch.end()

    async def _close(self) -> None:
        self.stop()
        for feed in self._feeds.values():
            feed.stop()
        # What holds a connection may give it back.
        busy = {feed.task for feed in self._feeds.values()}
        if busy:
            await asyncio.wait(busy, timeout=_CLOSE_SECONDS)
        await self._registrar.settled()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._registrar.end()

    @contextmanager
    def watch(self, scope: TenantScope, job_id: UUID) -> Iterator[Watch]:
        """Watch a job that the scope may see while the context is open.

        Leaving it does not wait for anything, so it may be left by being cancelled.
        """
        key = (scope.org_id, scope.workspace_id, job_id)
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = self._feed(scope, job_id)
        watch = Watch(feed)
        if self._closing:
            watch.end()
        feed.watches.add(watch)
        self._watches += 1
        try:
            yield watch
        finally:
            self._watches -= 1
            feed.watches.remove(watch)
            if not feed.watches:
                del self._feeds[key]
                feed.stop()
                self._registrar.leave(job_id)

    def _feed(self, scope: TenantScope, job_id: UUID) -> Feed:
        if not self._tasks:
            self._begin(self._listener.keep())
            self._begin(self._registrar.keep())
        feed = Feed(
            self._database,
            scope,
            job_id,
            registered=self._registrar.want(job_id),
            heard=self._listener.connected,
            reading=self._reading,
        )
        feed.task = self._begin(feed.run())
        return feed

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # In a context of its own: what it does is no part of the request that happened to be first.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _changed(self, job_id: UUID) -> None:
        for (_, _, watched), feed in self._feeds.items():
            if watched == job_id:
                feed.changed()

    def _connected(self) -> None:
        for feed in self._feeds.values():
            feed.changed()
