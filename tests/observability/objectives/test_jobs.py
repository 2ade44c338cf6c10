"""Jobs that a worker runs are counted when they end for good."""

from __future__ import annotations

from muniment.db import Database, TenantScope
from muniment.jobs import enqueue
from muniment.objective_settings import Objective
from muniment.observability.metrics import Metrics
from muniment.observability.objectives.process import counted_jobs
from muniment.observability.objectives.recorder import series_of
from tests.jobs.conftest import RunWorker, journal, run_worker
from tests.jobs.kinds import Journal, Note, fail, fail_once, nothing
from tests.observability.objectives.conftest import rows
from tests.waiting import until

__all__ = ["journal", "run_worker"]

OBJECTIVES = {
    "tests": Objective(jobs=("tests.*",), within_ms=60_000, share=0.9),
    "others": Objective(jobs=("*", "!tests.*"), within_ms=60_000, share=0.9),
}


async def test_jobs_of_a_worker_are_counted(
    database: Database,
    worker_database: Database,
    scope: TenantScope,
    journal: Journal,
    run_worker: RunWorker,
) -> None:
    async def open_jobs() -> int:
        async with database.unit_of_work(scope) as work:
            return int(
                await work.connection.fetchval(
                    "SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')"
                )
            )

    async def none_is_left() -> bool:
        return await open_jobs() == 0

    async with database.unit_of_work(scope) as work:
        for kind in (nothing, nothing, nothing, fail, fail_once):
            await enqueue(work, kind, Note())
    async with (
        counted_jobs(worker_database, OBJECTIVES, Metrics("worker")) as objectives,
        run_worker(observers=[objectives]),
    ):
        await until(none_is_left)
    (row,) = await rows(database)
    assert row["series"] == series_of("tests", OBJECTIVES["tests"])
    # `fail` is tried three times and `fail_once` twice; each counts once.
    assert (row["total"], row["good"], row["failed"]) == (5, 4, 1)
