"""Values that are put into the cache before anybody asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")

WARM_VALUES = 500
"""Most values that are taken from one warmer."""
_WARM_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class WarmValue(Generic[T]):
    """A value and where it belongs; see `Cache.get` for the parts."""

    partition: str
    key: str
    value: T
    tags: tuple[str, ...] = ()


Warmer = Callable[[], Awaitable[Iterable[WarmValue[T]]]]
"""Loads values that are likely to be asked for, as `Cache.get` would load them."""


async def warm_values(warmer: Warmer[T]) -> list[WarmValue[T]]:
    """Run a warmer within bounds.

    Raises:
        TimeoutError: it took too long.
    """
    async with asyncio.timeout(_WARM_SECONDS):
        return list(islice(await warmer(), WARM_VALUES))
