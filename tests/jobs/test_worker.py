"""The worker loop on a real queue."""

from __future__ import annotations

from muniment.db import Database, TenantScope
from muniment.jobs import enqueue

from tests.jobs.conftest import Jobs, RunWorker, queue_length
from tests.jobs.kinds import Journal, Note, write


async def test_a_job_runs_and_its_row_tells_so(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, write, Note("hello"))
        row = await jobs.reaches(job_id, "succeeded")
    assert journal.entries == [("write", "hello", 1)]
    assert row["attempts"] == 1
    assert row["queued_at"] <= row["started_at"] <= row["finished_at"]
    assert await queue_length(database) == 0
