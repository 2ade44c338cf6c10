"""Ended jobs go by age and number; what waits or runs, and parents before children, never."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from muniment.db import Database, TenantScope
from muniment.jobs import enqueue, enqueue_many
from muniment.jobs.retention import Retention
from muniment.jobs.upkeep import Upkeep
from tests.jobs.conftest import Jobs, RunWorker
from tests.jobs.kinds import Note, nothing, refuse
from tests.waiting import until

KEEP = Retention(succeeded=timedelta(days=14), failed=timedelta(days=60), most=1000)


async def aged(database: Database, job_ids: list[UUID], days: float, status: str) -> None:
    """Make jobs that ended long ago: a UUIDv7 leads with the time of its creation."""
    async with database.operator() as work:
        for job_id in job_ids:
            milliseconds = (job_id.int >> 80) - round(days * 86_400_000)
            older = UUID(int=(milliseconds << 80) | (job_id.int & (1 << 80) - 1))
            await work.connection.execute(
                "UPDATE jobs SET job_id = $2, status = $3, worker_id = NULL, started_at = now(),"
                " finished_at = now() - $4::interval,"
                ' error = \'{"code": "c", "detail": "d"}\' WHERE job_id = $1',
                job_id,
                older,
                status,
                timedelta(days=days),
            )
            await work.connection.execute("DELETE FROM queue.entries WHERE job_id = $1", job_id)


async def ages(database: Database, scope: TenantScope) -> dict[str, int]:
    async with database.unit_of_work(scope) as work:
        rows = await work.connection.fetch("SELECT status, count(*) FROM jobs GROUP BY status")
    return dict(rows)


async def test_old_jobs_go_and_failed_ones_stay_longer(
    worker_database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    for of in (scope, other_scope):
        async with worker_database.unit_of_work(of) as work:
            made = await enqueue_many(work, nothing, [Note()] * 12)
        await aged(worker_database, made[:2], 13, "succeeded")
        await aged(worker_database, made[2:4], 15, "succeeded")
        await aged(worker_database, made[4:6], 15, "cancelled")
        await aged(worker_database, made[6:9], 15, "failed")
        await aged(worker_database, made[9:11], 61, "failed")
    assert await KEEP.purge(worker_database) == 2 * (2 + 2 + 2)
    for of in (scope, other_scope):
        assert await ages(worker_database, of) == {"succeeded": 2, "failed": 3, "queued": 1}
    assert await KEEP.purge(worker_database) == 0


async def test_of_too_many_the_newest_stay(worker_database: Database, scope: TenantScope) -> None:
    async with worker_database.unit_of_work(scope) as work:
        made = await enqueue_many(work, nothing, [Note()] * 30)
        waits = await enqueue(work, nothing, Note())
    await aged(worker_database, made[:20], 1, "succeeded")
    keep = Retention(succeeded=timedelta(days=14), failed=timedelta(days=14), most=15)
    assert await keep.purge(worker_database) == 16
    assert await ages(worker_database, scope) == {"succeeded": 4, "queued": 11}
    async with worker_database.unit_of_work(scope) as work:
        assert await work.connection.fetchval("SELECT 1 FROM jobs WHERE job_id = $1", waits)


async def test_a_parent_stays_while_a_child_does(
    worker_database: Database, scope: TenantScope
) -> None:
    async with worker_database.unit_of_work(scope) as work:
        parent = await enqueue(work, nothing, Note())
    await aged(worker_database, [parent], 20, "succeeded")
    async with worker_database.unit_of_work(scope) as work:
        old = await work.connection.fetchval("SELECT job_id FROM jobs")
        child = await enqueue(work, nothing, Note(), parent_id=old)
    assert await KEEP.purge(worker_database) == 0
    await aged(worker_database, [child], 15, "succeeded")
    assert await KEEP.purge(worker_database) == 2


async def test_workers_share_the_upkeep(
    worker_database: Database, scope: TenantScope, run_worker: RunWorker, jobs: Jobs
) -> None:
    done: list[str] = []

    async def do(_: Database) -> None:
        done.append("done")

    async def fail(_: Database) -> None:
        done.append("failed")
        raise ConnectionError("on purpose")

    often = timedelta(milliseconds=20)
    chores = [
        Upkeep("tests.fail", often, fail),
        Upkeep("tests.once", timedelta(hours=1), do),
        Upkeep("tests.often", often, do),
    ]
    async with run_worker(upkeep=chores), run_worker(upkeep=chores):
        await until(lambda: done.count("failed") >= 3 and done.count("done") >= 4)
        async with worker_database.unit_of_work(scope) as work:
            job_id = await enqueue(work, refuse, Note())
        await jobs.reaches(job_id, "failed")
    async with worker_database.operator() as work:
        rows = await work.connection.fetch("SELECT name FROM queue.upkeep")
    assert {row["name"] for row in rows} == {chore.name for chore in chores}


@pytest.mark.parametrize("workers", [3])
async def test_an_hourly_chore_is_done_once_an_hour(
    worker_database: Database, run_worker: RunWorker, workers: int
) -> None:
    done: list[int] = []

    async def do(_: Database) -> None:
        done.append(1)

    beats: list[int] = []

    async def beat(_: Database) -> None:
        beats.append(1)

    chores = [
        Upkeep("tests.hourly", timedelta(hours=1), do),
        Upkeep("tests.beat", timedelta(milliseconds=10), beat),
    ]
    async with run_worker(upkeep=chores), run_worker(upkeep=chores), run_worker(upkeep=chores):
        await until(lambda: len(beats) >= 20)
    assert done == [1]
