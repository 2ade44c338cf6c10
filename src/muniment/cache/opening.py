"""Open the cache of a process and let it hear the commits of all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from muniment.cache.cache import Cache
from muniment.cache.memory import Memory
from muniment.cache.redis import open_redis
from muniment.cache.redis_link import RedisLink
from muniment.db import Database

_log = structlog.get_logger(__name__)

_PATIENCE_SECONDS = 2.0


@asynccontextmanager
async def open_cache(
    database: Database,
    *,
    redis_url: str | None = None,
    max_entries: int = 2000,
    max_bytes: int = 64 * 1024 * 1024,
) -> AsyncIterator[Cache]:
    """Open the cache of this process, and close it when the context ends.

    It waits shortly for the listening connection. If there is none the process works all the
    same and loads everything, until there is. Redis is not waited for.

    Args:
        database: whose commits are heard, over a connection of `database.dsn`, and which tells
            of our own.
        redis_url: see `open_redis`; None for no second level.
        max_entries: most values in memory.
        max_bytes: most bytes that they take, by their encoded size.

    Raises:
        InvalidSetting: the address of Redis cannot be understood, or its package is missing.
    """
    async with AsyncExitStack() as stack:
        link = None
        if redis_url is not None:
            link = RedisLink(await stack.enter_async_context(open_redis(redis_url)))
        cache = Cache(database.dsn, Memory(max_entries, max_bytes), link)
        stack.push_async_callback(cache.stop)
        cache.start()
        database.after_commit.append(cache.committed)
        stack.callback(database.after_commit.remove, cache.committed)
        if not await cache.wait_until_listening(_PATIENCE_SECONDS):
            _log.warning("the cache cannot hear invalidations yet; everything is loaded")
        yield cache
