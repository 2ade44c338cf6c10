"""The worker loop on a real queue: how attempts end and what is recorded of them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from muniment.db import Database, TenantScope
from muniment.jobs import (
    Lane,
    RunningJob,
    Worker,
    enqueue,
    enqueue_many,
    live_workers,
    progress_of,
    task,
)
from tests.jobs.conftest import Jobs, RunWorker, queue_length
from tests.jobs.kinds import (
    ALL,
    Journal,
    Note,
    dawdle,
    fail,
    fail_once,
    nothing,
    refuse,
    report,
    wait,
    write,
)


class Other(msgspec.Struct):
    text: int


@task(kind="tests.write", lane=Lane.FAST)
async def other_version_of_write(job: RunningJob, payload: Other) -> None: ...


async def test_a_job_runs_and_its_row_tells_so(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, write, Note("hello"))
        row = await jobs.reaches(job_id, "succeeded")
    assert journal.entries == [("write", "hello", 1)]
    assert row["attempts"] == 1
    assert row["error"] is None
    assert row["queued_at"] <= row["started_at"] <= row["finished_at"]
    assert await queue_length(database) == 0


async def test_many_jobs_end_in_few_transactions(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    async with database.unit_of_work(scope) as uow:
        await enqueue_many(uow, nothing, [Note()] * 1000)
    async with run_worker():
        await jobs.all_reach("succeeded", 1000)
    assert await queue_length(database) == 0
    async with database.unit_of_work(scope) as uow:
        ends = await uow.connection.fetchval("SELECT count(DISTINCT xmin::text) FROM jobs")
    assert ends < 500


async def test_a_failure_is_tried_again_later(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, fail_once, Note())
        row = await jobs.reaches(job_id, "succeeded")
    assert [attempt for *_, attempt in journal.entries] == [1, 2]
    assert row["attempts"] == 2
    assert row["error"] is None
    assert row["run_after"] <= row["started_at"]


async def test_the_last_attempt_leaves_its_reason(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, fail, Note())
        row = await jobs.reaches(job_id, "failed")
    assert len(journal.entries) == row["attempts"] == row["max_attempts"] == 3
    assert row["error"] == {"code": "unexpected_error", "detail": "ValueError: bad luck ?"}
    assert row["finished_at"] is not None
    assert await queue_length(database) == 0


async def test_a_permanent_failure_is_not_tried_again(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, refuse, Note())
        row = await jobs.reaches(job_id, "failed")
    assert row["attempts"] == 1
    assert row["error"] == {"code": "permanent_failure", "detail": "This can never work."}


async def test_a_job_that_takes_too_long_is_stopped(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, dawdle, Note())
        row = await jobs.reaches(job_id, "failed")
    assert len(journal.entries) == row["attempts"] == 2
    assert row["error"]["code"] == "deadline_exceeded"


async def test_a_job_that_does_not_stop_loses_its_slot(
    database: Database,
    scope: TenantScope,
    jobs: Jobs,
    run_worker: RunWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("muniment.jobs.worker._UNWIND_SECONDS", 0.1)
    release = asyncio.Event()

    @task(
        kind="tests.stubborn",
        lane=Lane.FAST,
        deadline=timedelta(milliseconds=50),
        max_attempts=1,
    )
    async def stubborn(job: RunningJob, payload: Note) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                assert job.cancelled

    async with run_worker(tasks=[stubborn, write], lanes={Lane.FAST: 1}):
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, stubborn, Note())
            next_id = await enqueue(uow, write, Note())
        row = await jobs.reaches(job_id, "failed")
        await jobs.reaches(next_id, "succeeded")
        release.set()
    assert row["error"]["code"] == "deadline_exceeded"


async def test_a_payload_that_does_not_fit_fails_at_once(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, other_version_of_write, Other(7))
        row = await jobs.reaches(job_id, "failed")
    assert row["attempts"] == 1
    assert row["error"]["code"] == "invalid_payload"
    assert "$.text" in row["error"]["detail"]


async def test_a_kind_that_this_worker_does_not_know_waits_for_one_that_does(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    async with database.unit_of_work(scope) as uow:
        job_id = await enqueue(uow, write, Note())
    async with run_worker(tasks=[nothing]), asyncio.timeout(10):
        while (row := await jobs.row(job_id))["error"] is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert row["status"] == "queued"
    assert row["error"]["code"] == "unknown_kind"
    async with run_worker():
        await jobs.reaches(job_id, "succeeded")


async def test_a_fast_job_does_not_wait_for_slow_ones(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            slow = await enqueue_many(uow, wait, [Note(str(n)) for n in range(5)])
        await journal.until(2)
        async with database.unit_of_work(scope) as uow:
            fast = await enqueue(uow, write, Note("fast"))
        await jobs.reaches(fast, "succeeded")
        assert await jobs.count("running") == 2
        assert len(journal.entries) == 3
        journal.gate.set()
        await jobs.all_reach("succeeded", 6)
    assert (await jobs.row(slow[-1]))["status"] == "succeeded"


async def test_progress_is_visible_while_the_job_runs(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker(), asyncio.timeout(10):
        async with database.unit_of_work(scope) as uow:
            parent = await enqueue(uow, nothing, Note())
            job_id = await enqueue(uow, report, Note(), parent_id=parent)
            await enqueue(uow, report, Note(), parent_id=parent, run_after=timedelta(hours=1))
        while (row := await jobs.row(job_id))["progress_done"] == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert (row["status"], row["progress_total"]) == ("running", 10)
        assert row["progress_unit"] == "pages"
        async with database.unit_of_work(scope) as uow:
            rolled_up = await progress_of(uow, parent)
        assert (rolled_up.queued, rolled_up.running) == (1, 1)
        assert (rolled_up.done, rolled_up.total) == (3, 10)
        journal.gate.set()
        row = await jobs.reaches(job_id, "succeeded")
    assert (row["progress_done"], row["progress_total"]) == (10, 10)


async def test_stop_lets_running_jobs_finish_and_starts_no_other(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            await enqueue_many(uow, wait, [Note()] * 3)
        await journal.until(2)
        asyncio.get_running_loop().call_later(0.2, journal.gate.set)
    assert await jobs.count("succeeded") == 2
    assert await jobs.count("queued") == 1
    assert await live_workers(database) == 0


async def test_a_job_that_outlasts_the_grace_goes_back_without_blame(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker(grace=0.05):
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, wait, Note())
        await journal.until(1)
    row = await jobs.row(job_id)
    assert (row["status"], row["attempts"], row["error"]) == ("queued", 0, None)
    journal.gate.set()
    async with run_worker():
        row = await jobs.reaches(job_id, "succeeded")
    assert row["attempts"] == 1


async def test_a_second_signal_does_not_wait_for_running_jobs(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    at_once = asyncio.Event()
    async with asyncio.timeout(15), run_worker(grace=600, at_once=at_once):
        async with database.unit_of_work(scope) as uow:
            await enqueue_many(uow, wait, [Note()] * 2)
        await journal.until(2)
        at_once.set()
    assert await jobs.count("queued") == 2


async def test_a_worker_counts_as_live_while_it_runs(
    database: Database, run_worker: RunWorker
) -> None:
    assert await live_workers(database) == 0
    async with run_worker(), run_worker():
        async with asyncio.timeout(10):
            while await live_workers(database) != 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_kind_belongs_to_one_task(database: Database) -> None:
    with pytest.raises(ValueError, match=r"tests\.write"):
        Worker(database, [*ALL, write], {}, {Lane.FAST: 1})
