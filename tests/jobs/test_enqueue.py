"""Enqueueing belongs to the caller's transaction, and equal work is done once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from muniment.db import Database, TenantScope, observe_statements
from muniment.jobs import Lane, enqueue, enqueue_many
from tests.jobs.conftest import Jobs, RunWorker, queue_length
from tests.jobs.kinds import Journal, Note, nothing, wait, write


async def test_a_rollback_leaves_neither_job_nor_queue_entry(
    database: Database, scope: TenantScope, jobs: Jobs
) -> None:
    async def change_my_mind() -> None:
        async with database.unit_of_work(scope) as uow:
            await enqueue(uow, write, Note())
            raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError, match="changed my mind"):
        await change_my_mind()
    assert await jobs.count("queued") == 0
    assert await queue_length(database) == 0


async def test_workers_see_a_job_only_when_it_is_committed(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            await enqueue(uow, write, Note("late"))
            async with database.unit_of_work(scope) as other:
                await enqueue(other, write, Note("early"))
            await journal.until(1)
            assert [text for _, text, _ in journal.entries] == ["early"]
        await journal.until(2)


@pytest.mark.parametrize("count", [1, 300])
async def test_any_number_of_jobs_takes_two_statements(
    database: Database, scope: TenantScope, jobs: Jobs, count: int
) -> None:
    names: list[str] = []
    async with database.unit_of_work(scope) as uow:
        with observe_statements(lambda name, _seconds, _error: names.append(name)):
            ids = await enqueue_many(uow, nothing, [Note(str(n)) for n in range(count)])
    assert names == ["jobs.insert_jobs"]
    assert len(set(ids)) == count == await jobs.count("queued") == await queue_length(database)
    assert (await jobs.row(ids[-1]))["payload"] == {"text": str(count - 1)}


async def test_nothing_to_enqueue_asks_nothing(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as uow:
        assert await enqueue_many(uow, nothing, []) == []


async def test_one_of_equal_keys_waits(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as uow:
        first = await enqueue(uow, nothing, Note("a"), dedupe_key="source 1")
        again = await enqueue(uow, nothing, Note("b"), dedupe_key="source 1")
        other_key = await enqueue(uow, nothing, Note("c"), dedupe_key="source 2")
        other_kind = await enqueue(uow, write, Note("d"), dedupe_key="source 1")
        batch = await enqueue_many(
            uow,
            nothing,
            [Note("e"), Note("f"), Note("g"), Note("h")],
            dedupe_keys=["source 1", "source 3", None, "source 3"],
        )
    async with database.unit_of_work(other_scope) as uow:
        elsewhere = await enqueue(uow, nothing, Note(), dedupe_key="source 1")
    assert first == again == batch[0]
    assert batch[1] == batch[3]
    assert len({first, other_key, other_kind, batch[1], batch[2], elsewhere}) == 6
    assert await queue_length(database) == 6


async def test_a_started_job_does_not_stand_for_new_work(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            first = await enqueue(uow, wait, Note("first"), dedupe_key="k")
        await journal.until(1)
        async with database.unit_of_work(scope) as uow:
            second = await enqueue(uow, wait, Note("second"), dedupe_key="k")
        assert first != second
        journal.gate.set()
        await jobs.reaches(second, "succeeded")


async def test_a_shared_job_starts_after_everyone_who_shares_it_has_committed(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    """Or it could start before the rows that the second caller enqueued it for are there."""
    async with database.unit_of_work(scope) as uow:
        shared = await enqueue(uow, write, Note("shared"), dedupe_key="k")
    async with database.unit_of_work(scope) as uow:
        assert await enqueue(uow, write, Note(), dedupe_key="k") == shared
        async with run_worker():
            async with database.unit_of_work(scope) as other:
                await enqueue(other, write, Note("other"))
            await journal.until(1)
            assert [text for _, text, _ in journal.entries] == ["other"]
    async with run_worker():
        await jobs.reaches(shared, "succeeded")


async def test_two_who_enqueue_the_same_at_once_share_one_job(
    database: Database, scope: TenantScope
) -> None:
    async def one() -> object:
        async with database.unit_of_work(scope) as uow:
            return await enqueue(uow, nothing, Note(), dedupe_key="k")

    ids = await asyncio.gather(*(one() for _ in range(4)))
    assert len(set(ids)) == 1
    assert await queue_length(database) == 1


async def test_priority_then_age_decide_the_order(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with database.unit_of_work(scope) as uow:
        for text, priority in [("b", 0), ("c", 0), ("d", -1), ("a", 5)]:
            await enqueue(uow, write, Note(text), priority=priority)
    async with run_worker(lanes={Lane.FAST: 1}):
        await journal.until(4)
    assert [text for _, text, _ in journal.entries] == ["a", "b", "c", "d"]


async def test_a_delayed_job_waits_for_its_time(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            delay = timedelta(milliseconds=300)
            job_id = await enqueue(uow, write, Note(), run_after=delay)
        row = await jobs.reaches(job_id, "succeeded")
    assert row["run_after"] <= row["started_at"] < row["run_after"] + timedelta(seconds=2)
