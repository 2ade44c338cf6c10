"""What one request has already found out, so that it is not asked for again.

A memo lasts as long as its request, is seen by nobody else and needs no invalidation. Whoever
changes a thing within the request calls `forget`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")


class _Recollection:
    """A value, or the news that it is being loaded."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.known = False
        self.value: Any = None


_memo: ContextVar[dict[Hashable, _Recollection] | None] = ContextVar("request_memo", default=None)


@contextmanager
def request_memo() -> Iterator[None]:
    """Remember what `memoized` loads while the context is open, in it and its tasks."""
    token = _memo.set({})
    try:
        yield
    finally:
        _memo.reset(token)


async def memoized(key: Hashable, load: Callable[[], Awaitable[T]]) -> T:
    """Return what `load` gives, loading it once for each key and request.

    Tasks of the request that ask at once share one load. A failed or cancelled load is
    forgotten, and whoever waited for it loads anew. Without a memo it simply loads.
    """
    memo = _memo.get()
    if memo is None:
        return await load()
    while (found := memo.get(key)) is not None:
        if not found.known:
            await found.ended.wait()
        if found.known:
            value: T = found.value
            return value
    found = memo[key] = _Recollection()
    try:
        found.value = await load()
        found.known = True
    finally:
        found.ended.set()
        if not found.known and memo.get(key) is found:
            del memo[key]
    return found.value  # type: ignore[no-any-return]


def forget(*keys: Hashable) -> None:
    """Forget what the request has found out under these keys, because it changed them."""
    memo = _memo.get()
    if memo is not None:
        for key in keys:
            memo.pop(key, None)
