"""What a request asks for twice is looked up once (F34)."""

from __future__ import annotations

import asyncio

import pytest

from muniment.cache.memo import forget, memoized, request_memo
from tests.cache.things import Source, Thing
from tests.waiting import until


async def test_a_request_asks_once() -> None:
    source = Source()
    with request_memo():
        for _ in range(3):
            assert await memoized("thing", source.load) == Thing("first")
    assert source.loads == 1


async def test_absence_is_remembered_too() -> None:
    source = Source()
    source.value = None
    with request_memo():
        for _ in range(2):
            assert await memoized(("thing", 1), source.load) is None
    assert source.loads == 1


async def test_requests_share_nothing() -> None:
    source = Source()

    async def request() -> None:
        with request_memo():
            await memoized("thing", source.load)

    await asyncio.gather(request(), request())
    assert source.loads == 2


async def test_without_a_request_nothing_is_remembered() -> None:
    source = Source()
    for _ in range(2):
        await memoized("thing", source.load)
    assert source.loads == 2


async def test_tasks_of_a_request_share_one_load() -> None:
    source = Source()
    source.may_end.clear()
    with request_memo():
        asked = [asyncio.create_task(memoized("thing", source.load)) for _ in range(5)]
        await source.has_begun()
        source.may_end.set()
        assert await asyncio.gather(*asked) == [Thing("first")] * 5
    assert source.loads == 1


async def test_failed_and_cancelled_loads_are_forgotten() -> None:
    source = Source()
    source.error = LookupError("gone")
    with request_memo():
        with pytest.raises(LookupError):
            await memoized("thing", source.load)
        source.error = None
        source.may_end.clear()
        first = asyncio.create_task(memoized("thing", source.load))
        await until(lambda: source.loads == 2)
        second = asyncio.create_task(memoized("thing", source.load))
        await asyncio.sleep(0)
        first.cancel()
        await until(lambda: source.loads == 3)
        source.may_end.set()
        assert await second == Thing("first")
        assert first.cancelled()


async def test_who_changes_a_thing_forgets_it() -> None:
    source = Source()
    with request_memo():
        await memoized("thing", source.load)
        source.value = Thing("second")
        forget("thing", "unknown")
        assert await memoized("thing", source.load) == Thing("second")
    forget("thing")
