"""Streams of job events from real processes: prompt, cheap, and ended in time.

The change is made on one process and seen on another. Nothing asks the database in between: what
travels is NOTIFY.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
import pytest_asyncio

from muniment.db.installation import Installation
from muniment.documents.blobs import BlobStore
from tests.app.api_processes import ApiProcess, Ask, api_processes
from tests.app.callers import Home, Present, World
from tests.app.visible_changes import get, key
from tests.conftest import Clone, cloned
from tests.waiting import until

PROMPT_SECONDS = 0.5
MANY = 200
"""Streams of one process, whose pool has six connections."""
ROUNDS = 40

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Pair:
    """Two processes, and the world that they are asked about."""

    first: ApiProcess
    second: ApiProcess
    world: World
    who: Present
    dsn: str

    @property
    def home(self) -> Home:
        return self.world.homes["ours"]

    async def jobs(self, count: int) -> list[UUID]:
        async with self.world.writing():
            return [await self.world.job(self.home) for _ in range(count)]

    async def cancel(self, job_id: UUID) -> None:
        answer = await self.first.ask(Ask("POST", f"/v1/jobs/{job_id}/cancel", self.who))
        assert answer.status_code == 202, answer.text

    async def count(self, query: str) -> int:
        return await asyncio.to_thread(counted, self.dsn, query)


def counted(dsn: str, query: str) -> int:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


LISTENERS = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'muniment events' AND datname = current_database()
"""
CUT = LISTENERS.replace("count(*)", "count(pg_terminate_backend(pid))")
WATCHED = "SELECT count(*) FROM queue.watched"


@pytest.fixture(scope="module")
def clone(server: Installation) -> Iterator[Clone]:
    with cloned(server) as clone:
        yield clone


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(clone: Clone) -> AsyncIterator[Pair]:
    with (
        tempfile.TemporaryDirectory() as name,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setitem(os.environ, "MUNIMENT_JOB_EVENT_STREAMS", str(MANY))
        async with clone.open() as database:
            world = await World.made(database, BlobStore.in_folder(Path(name, "blobs")))
            async with world.writing():
                who = await key(world, world.homes["ours"])
            target = clone.installation
            async with api_processes(target, Path(name), redis_url=None) as (first, second):
                yield Pair(first, second, world, who, target.owner_dsn)


class Stream:
    """The events of one stream, as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def event(self) -> tuple[str, dict[str, Any]]:
        """Return kind and job of the next event; comments are passed over."""
        kind = ""
        async with asyncio.timeout(10):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    return kind, json.loads(value)
        raise EOFError

    async def until(self, status: str) -> None:
        """Read on until the job has a status."""
        while (await self.event())[1]["status"] != status:
            pass


@asynccontextmanager
async def streaming(process: ApiProcess, job_id: UUID, who: Present) -> AsyncIterator[Stream]:
    client = process._client
    headers = who.headers | {"Accept-Encoding": "gzip, br, zstd"}
    request = client.build_request("GET", f"/v1/jobs/{job_id}/events", headers=headers)
    response = await client.send(request, stream=True)
    try:
        yield Stream(response)
    finally:
        await response.aclose()


async def test_a_change_elsewhere_is_seen_at_once(pair: Pair) -> None:
    seconds = []
    for job_id in await pair.jobs(ROUNDS):
        async with streaming(pair.second, job_id, pair.who) as stream:
            assert stream.response.status_code == 200
            assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert "content-encoding" not in stream.response.headers
            assert stream.response.headers["cache-control"] == "no-store"
            kind, job = await stream.event()
            assert (kind, job["status"]) == ("status", "queued")
            began = time.monotonic()
            await pair.cancel(job_id)
            await stream.until("cancelled")
            seconds.append(time.monotonic() - began)
            assert (await stream.event())[0] == "end"
            with pytest.raises(EOFError):
                await stream.event()
    seconds.sort()
    p50, p95 = (seconds[int(share * len(seconds))] * 1000 for share in (0.5, 0.95))
    assert seconds[-1] < PROMPT_SECONDS, f"p50 {p50:.1f} ms, p95 {p95:.1f} ms"


async def test_a_cut_connection_loses_no_change(pair: Pair) -> None:
    (job_id,) = await pair.jobs(1)
    async with streaming(pair.second, job_id, pair.who) as stream:
        await stream.event()
        assert await pair.count(CUT) >= 1
        await pair.cancel(job_id)
        await stream.until("cancelled")


async def test_many_streams_hold_one_connection_and_none_of_the_pool(pair: Pair) -> None:
    jobs = await pair.jobs(MANY)
    async with AsyncExitStack() as stack:
        pair.second._client._transport._pool._max_connections = 2 * MANY  # type: ignore[attr-defined]
        streams = [
            await stack.enter_async_context(streaming(pair.second, job_id, pair.who))
            for job_id in jobs
        ]
        for stream in streams:
            assert (await stream.event())[1]["status"] == "queued"
        assert await pair.count(WATCHED) == MANY
        assert await pair.count(LISTENERS) <= 2

        async def idle() -> bool:
            figures = await pair.second.figures()
            return figures[SIZE] == figures[IDLE]

        await until(idle)
        # There is no room for one more.
        refused = await pair.second.ask(get(f"/v1/jobs/{jobs[0]}/events", pair.who))
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_event_streams")
        assert int(refused.headers["retry-after"]) > 0
        # Others are served as ever.
        for _ in range(20):
            assert (await pair.second.ask(get("/v1/jobs", pair.who))).status_code == 200
        began = time.monotonic()
        for job_id, stream in list(zip(jobs, streams, strict=True))[:20]:
            await pair.cancel(job_id)
            await stream.until("cancelled")
        assert time.monotonic() - began < 20 * PROMPT_SECONDS

    async def forgotten() -> bool:
        return await pair.count(WATCHED) == 0

    await until(forgotten)


SIZE, IDLE = (f'muniment_db_pool_{name}{{pool="app"}}' for name in ("size", "idle"))


async def test_others_streams_are_not_there(pair: Pair) -> None:
    async with pair.world.writing():
        theirs = await pair.world.job(pair.world.homes["theirs"])
    answer = await pair.second.ask(get(f"/v1/jobs/{theirs}/events", pair.who))
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


async def test_a_process_that_is_told_to_stop_ends_its_streams(pair: Pair) -> None:
    """The last test of this file: afterwards one process is gone."""
    (job_id,) = await pair.jobs(1)
    async with streaming(pair.second, job_id, pair.who) as stream:
        await stream.event()
        pair.second.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        with pytest.raises(EOFError):
            await stream.event()
        await asyncio.wait_for(pair.second.process.wait(), 10)
        assert time.monotonic() - began < 5
    assert await pair.count(WATCHED) == 0
