"""The second level: values in Redis, which the processes of an installation share.

A value is stored with the position in the stream of announcements at which it began to be loaded,
and whoever reads it judges by its own history (`muniment.cache.history`) whether that is recent
enough. So nothing has to be deleted in Redis to invalidate, and no state of Redis can make a
stale value look fresh.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Collection, Mapping
from typing import Any, cast

import msgspec

from muniment.cache.history import Position
from muniment.cache.namespace import Namespace
from muniment.cache.redis_link import RedisLink
from muniment.cache.statistics import NamespaceStatistics

LARGEST_VALUE = 1024 * 1024
"""Bytes; what is larger stays in the process that loaded it."""


class Shared(msgspec.Struct, frozen=True, array_like=True):
    """A value as Redis holds it."""

    position: Position
    until: float
    """When it expires, in seconds since 1970."""
    value: msgspec.Raw


_decoder = msgspec.msgpack.Decoder(Shared)


class SharedStore:
    """Values in Redis; when Redis is away there are none and nothing is kept."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    @property
    def up(self) -> bool:
        """Whether Redis answers."""
        return self._link.up.is_set()

    async def read(
        self,
        namespace: Namespace[Any],
        partition: str,
        keys: Collection[str],
        statistics: NamespaceStatistics,
    ) -> dict[str, Shared]:
        """Return what Redis holds under some keys, in one round trip."""
        if not self.up:
            return {}
        names = [_name(namespace, partition, key) for key in keys]
        answer = await self._link.call(
            lambda: cast("Awaitable[list[bytes | None]]", self._link.client.mget(names))
        )
        if answer is None:
            statistics.redis_errors += 1
            return {}
        found: dict[str, Shared] = {}
        for key, data in zip(keys, answer, strict=True):
            if data is None:
                continue
            try:
                found[key] = _decoder.decode(data)
            except msgspec.MsgspecError:
                continue  # written by another version: it will be replaced
        return found

    async def write(
        self,
        namespace: Namespace[Any],
        partition: str,
        values: Mapping[str, bytes],
        position: Position,
        statistics: NamespaceStatistics,
    ) -> None:
        """Put encoded values into Redis, in one round trip, with their time to live."""
        if not self.up:
            return
        until = time.time() + namespace.seconds
        pipeline = self._link.client.pipeline(transaction=False)
        for key, data in values.items():
            if len(data) <= LARGEST_VALUE:
                pipeline.set(
                    _name(namespace, partition, key),
                    msgspec.msgpack.encode(Shared(position, until, msgspec.Raw(data))),
                    px=max(1, round(namespace.seconds * 1000)),
                )
        if await self._link.call(pipeline.execute) is None:
            statistics.redis_errors += 1


def _name(namespace: Namespace[Any], partition: str, key: str) -> str:
    # What stands in braces decides where a cluster keeps it: a partition's values lie together.
    return f"muniment:{{{partition}}}:{namespace.name}.{namespace.shape}:{key}"
