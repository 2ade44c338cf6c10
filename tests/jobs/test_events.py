"""Watching jobs: the state now and each change, read when it is announced and never asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from muniment.db import Database, TenantScope, new_id, observe_statements
from muniment.jobs import JobNotFound, Lane, enqueue
from muniment.jobs.errors import TooManyEventStreams
from muniment.jobs.events import JobEvents, Watch
from muniment.jobs.events.stream import job_event_stream
from muniment.jobs.schemas import JobDetail
from tests.jobs.conftest import Jobs, RunWorker
from tests.jobs.kinds import Journal, Note, nothing, report, wait, write
from tests.jobs.test_cancel import cancelled, queued
from tests.waiting import until

SOON = 5.0
"""Seconds after which a change that was to come is missed."""


@pytest.fixture
async def events(database: Database) -> AsyncIterator[JobEvents]:
    async with JobEvents.running(database, 50) as events:
        yield events


async def until_settled(watch: Watch) -> list[JobDetail]:
    """All states of a job until it and its children have ended."""
    states = [await watch.first(SOON)]
    while not states[-1].settled:
        state = await watch.change(SOON)
        assert state is not None, states[-1]
        states.append(state)
    return states


async def watched_rows(database: Database) -> int:
    async with database.system() as work:
        return int(await work.connection.fetchval("SELECT count(*) FROM queue.watched"))


async def test_a_job_is_seen_from_beginning_to_end(
    database: Database,
    scope: TenantScope,
    events: JobEvents,
    run_worker: RunWorker,
    journal: Journal,
) -> None:
    job_id = await queued(database, scope, task=report)
    with events.watch(scope, job_id) as watch:
        assert (await watch.first(SOON)).status == "queued"
        async with run_worker():
            while (state := await watch.change(SOON)) is not None and not state.progress.done:
                pass
            assert state is not None
            assert (state.status, state.progress.done, state.progress.total) == ("running", 3, 10)
            journal.gate.set()
            while not state.settled:
                state = await watch.change(SOON)
                assert state is not None
    assert (state.status, state.progress.done) == ("succeeded", 10)


async def test_a_parent_is_seen_with_its_children(
    database: Database, scope: TenantScope, events: JobEvents, jobs: Jobs, run_worker: RunWorker
) -> None:
    parent = await queued(database, scope, task=write)
    children = [
        await queued(database, scope, parent_id=parent, run_after=timedelta(hours=1))
        for _ in range(2)
    ]
    async with run_worker(lanes={Lane.FAST: 1}):
        await jobs.reaches(parent, "succeeded")
    with events.watch(scope, parent) as watch:
        state = await watch.first(SOON)
        assert state.children is not None
        assert (state.children.queued, state.children.share, state.settled) == (2, 0, False)
        for count, child in enumerate(children, 1):
            await cancelled(database, scope, child)
            seen = (0, 0.0, False)
            while seen[0] < count:
                changed = await watch.change(SOON)
                assert changed is not None
                assert changed.children is not None
                seen = changed.children.cancelled, changed.children.share, changed.settled
            assert seen == (count, count / len(children), count == len(children))


async def test_no_change_is_missed_when_watching_begins(
    database: Database, scope: TenantScope, events: JobEvents
) -> None:
    """A job ends at any moment of the beginning; the watch shows it every time."""

    async def follow(job_id: UUID) -> JobDetail:
        with events.watch(scope, job_id) as watch:
            return (await until_settled(watch))[-1]

    for number in range(40):
        job_id = await queued(database, scope)

        async def end(job_id: UUID = job_id, number: int = number) -> None:
            for _ in range(number):
                await asyncio.sleep(0)
            await cancelled(database, scope, job_id)

        seen, _ = await asyncio.gather(follow(job_id), end())
        assert seen.status == "cancelled"


async def test_a_change_that_is_under_way_when_watching_begins_is_not_missed(
    database: Database, scope: TenantScope, events: JobEvents
) -> None:
    """Its transaction has looked who watches before we did, and commits after."""
    job_id = await queued(database, scope)
    async with database.unit_of_work(scope) as work:
        await work.connection.execute("SELECT cancel_jobs($1, NULL)", job_id)
        with events.watch(scope, job_id) as watch:
            beginning = asyncio.create_task(watch.first(SOON))
            await until(lambda: watched_rows(database))
            assert not beginning.done()
    assert (await beginning).status == "cancelled"


async def test_whoever_reads_slowly_gets_the_newest_only(
    database: Database, scope: TenantScope, events: JobEvents, clone: Any
) -> None:
    job_id = await queued(database, scope)
    owner = await asyncpg.connect(clone.installation.owner_dsn)
    names: list[str] = []
    with events.watch(scope, job_id) as watch:
        await watch.first(SOON)
        with observe_statements(lambda name, _seconds, _error: names.append(name)):
            for done in range(1, 101):
                await owner.execute(
                    "UPDATE jobs SET progress_done = $1 WHERE job_id = $2", done, job_id
                )
                await owner.execute("SELECT queue.announce_changes(ARRAY[$1::uuid], NULL)", job_id)
            seen: list[int] = []
            while not seen or seen[-1] < 100:
                state = await watch.change(SOON)
                assert state is not None
                seen.append(state.progress.done)
    await owner.close()
    assert len(seen) <= 6  # a hundred changes within a second or so
    assert names.count("jobs.get_job") <= 8


async def test_readers_of_one_job_share_what_is_read(
    database: Database, scope: TenantScope, events: JobEvents
) -> None:
    job_id = await queued(database, scope)
    watches = [events.watch(scope, job_id) for _ in range(20)]
    opened = [watch.__enter__() for watch in watches]
    await asyncio.gather(*(watch.first(SOON) for watch in opened))
    assert await watched_rows(database) == 1
    names: list[str] = []
    with observe_statements(lambda name, _seconds, _error: names.append(name)):
        await cancelled(database, scope, job_id)
        states = await asyncio.gather(*(watch.change(SOON) for watch in opened))
    assert {state.status for state in states if state is not None} == {"cancelled"}
    # Two by the change itself; one when it was announced, and one that settles what began late.
    assert names.count("jobs.progress_of") <= 2
    for watch in watches:
        watch.__exit__(None, None, None)
    await until(lambda: _nobody(database))


async def test_a_cut_connection_misses_nothing(
    database: Database, scope: TenantScope, events: JobEvents, clone: Any
) -> None:
    job_id = await queued(database, scope)
    owner = await asyncpg.connect(clone.installation.owner_dsn)
    with events.watch(scope, job_id) as watch:
        await watch.first(SOON)
        await until(lambda: _listening(owner))
        assert await owner.fetchval(CUT) == 1
        await cancelled(database, scope, job_id)
        state = await watch.change(SOON)
        assert state is not None
        assert state.status == "cancelled"
    await owner.close()


CUT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = 'muniment events' AND datname = current_database()
"""


async def _listening(owner: asyncpg.Connection[Any]) -> bool:
    return bool(
        await owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'muniment events'"
            " AND datname = current_database() AND query LIKE 'LISTEN%'"
        )
    )


async def _nobody(database: Database) -> bool:
    return await watched_rows(database) == 0


async def test_what_is_not_there_is_not_watched(
    database: Database, scope: TenantScope, other_scope: TenantScope, events: JobEvents
) -> None:
    ours = await queued(database, scope)
    for caller, job_id in [(scope, new_id()), (other_scope, ours)]:
        with events.watch(caller, job_id) as watch, pytest.raises(JobNotFound):
            await watch.first(SOON)


async def test_a_job_that_is_deleted_ends_its_watch(
    database: Database, scope: TenantScope, events: JobEvents, clone: Any
) -> None:
    job_id = await queued(database, scope)
    owner = await asyncpg.connect(clone.installation.owner_dsn)
    with events.watch(scope, job_id) as watch:
        await watch.first(SOON)
        await owner.execute("DELETE FROM jobs WHERE job_id = $1", job_id)
        await owner.execute("SELECT queue.announce_changes(ARRAY[$1::uuid], NULL)", job_id)
        assert await watch.change(SOON) is None
        assert watch.ended
    await owner.close()


async def test_there_is_a_most_of_watches(
    database: Database, scope: TenantScope, events: JobEvents
) -> None:
    job_id = await queued(database, scope)
    async with JobEvents.running(database, 1) as few:
        few.require_room()
        with few.watch(scope, job_id):
            with pytest.raises(TooManyEventStreams) as refused:
                few.require_room()
            assert refused.value.retry_after
        few.require_room()


async def test_the_lease_of_a_registration_runs(
    database: Database, scope: TenantScope, events: JobEvents
) -> None:
    """A process that dies leaves rows behind that say when they are over."""
    job_id = await queued(database, scope)
    with events.watch(scope, job_id) as watch:
        await watch.first(SOON)
        async with database.system() as work:
            left = await work.connection.fetchval("SELECT expires_at - now() FROM queue.watched")
        assert timedelta(seconds=50) < left <= timedelta(seconds=60)


# --- as an event stream --------------------------------------------------------------------------


def parsed(chunk: bytes) -> dict[str, str]:
    assert chunk.endswith(b"\n\n")
    lines = [line.partition(": ") for line in chunk.decode().strip().split("\n")]
    return {name: value for name, _, value in lines}


async def test_a_stream_tells_kind_and_number_of_each_event(
    database: Database,
    scope: TenantScope,
    events: JobEvents,
    run_worker: RunWorker,
    journal: Journal,
) -> None:
    job_id = await queued(database, scope, task=report)
    seen: list[dict[str, str]] = []
    async with run_worker():
        async for chunk in job_event_stream(events, scope, job_id):
            seen.append(parsed(chunk))
            if seen[-1].get("event") in ("progress", "status"):
                journal.gate.set()
    assert seen[0] == {"retry": "2000"}
    told = seen[1:]
    assert [int(event["id"]) for event in told] == list(range(1, len(told) + 1))
    assert told[0]["event"] == "status"
    assert [event["event"] for event in told[-2:]] == ["status", "end"]
    assert json.loads(told[-1]["data"])["status"] == "succeeded"
    assert told[-1]["data"] == told[-2]["data"]


async def test_a_stream_of_what_has_ended_ends_at_once(
    database: Database, scope: TenantScope, events: JobEvents
) -> None:
    job_id = await queued(database, scope, task=nothing)
    await cancelled(database, scope, job_id)
    seen = [parsed(chunk) async for chunk in job_event_stream(events, scope, job_id)]
    assert [event.get("event") for event in seen] == [None, "status", "end"]


async def test_a_stream_beats_and_comes_to_its_end(
    database: Database, scope: TenantScope, events: JobEvents
) -> None:
    async with database.unit_of_work(scope) as work:
        job_id = await enqueue(work, wait, Note())
    stream = job_event_stream(events, scope, job_id, heartbeat=0.05, longest=0.3)
    seen = [chunk async for chunk in stream]
    assert seen[0].startswith(b"retry:")
    assert b"event: status" in seen[1]
    assert set(seen[2:]) == {b":\n\n"}
    assert 3 <= len(seen[2:]) <= 7
    await until(lambda: _nobody(database))


async def test_streams_end_when_the_process_stops(
    database: Database, scope: TenantScope, events: JobEvents
) -> None:
    job_id = await queued(database, scope)
    stream = job_event_stream(events, scope, job_id)
    assert [await anext(stream) for _ in range(2)]
    events.stop()
    async with asyncio.timeout(1):
        assert [chunk async for chunk in stream if chunk != b":\n\n"] == []
