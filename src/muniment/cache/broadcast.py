"""A second way for invalidations: published through Redis by whoever committed.

Postgres' notifications are what the caches rely on. This one only makes a process forget sooner
when its listening connection has silently died, before the lease of that connection runs out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from uuid import uuid4

from muniment.cache.redis_link import RedisLink
from muniment.db.announcements import CHANNEL

_WAIT_SECONDS = 5.0
_PAUSE_SECONDS = 0.5


class Broadcast:
    """Publishes our commits' tags and hears those of others."""

    def __init__(
        self, link: RedisLink, on_heard: Callable[[Collection[str]], Awaitable[None]]
    ) -> None:
        """Await `on_heard` with the tags that another process published."""
        self._link = link
        self._on_heard = on_heard
        self._sender = uuid4().hex

    async def publish(self, tags: Collection[str]) -> None:
        """Tell the other processes, if Redis answers."""
        message = " ".join((self._sender, *sorted(tags)))
        await self._link.call(lambda: self._link.client.publish(CHANNEL, message))

    async def listen(self) -> None:
        """Hear others until cancelled."""
        from redis.exceptions import RedisError

        while True:
            await self._link.up.wait()
            try:
                await self._stay()
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _stay(self) -> None:
        async with self._link.client.pubsub() as subscription:
            await subscription.subscribe(CHANNEL)
            while True:
                message = await subscription.get_message(
                    ignore_subscribe_messages=True, timeout=_WAIT_SECONDS
                )
                if message is None:
                    continue
                sender, *tags = message["data"].decode(errors="replace").split(" ")
                if sender != self._sender:
                    await self._on_heard(tags)
