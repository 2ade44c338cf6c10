"""Handlers that compute in a process of their own: whatever that does, the worker lives."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from muniment.db import Database, TenantScope
from muniment.jobs import Lane, RunningJob, enqueue, task
from muniment.jobs.control.change import cancel_job
from muniment.jobs.isolated import run_isolated
from tests.jobs.conftest import LANES, Jobs, RunWorker
from tests.jobs.kinds import QUICK, Journal, Note, wait, write
from tests.processes import functions
from tests.processes.family import Family, new_family
from tests.processes.functions import Numbers
from tests.waiting import until

MEMORY_MB = 150


async def run(job: RunningJob, payload: Note) -> None:
    """Run the function of a name; the folder comes with it."""
    name, _, folder = payload.text.partition(" ")
    function = getattr(functions, name)
    result = await run_isolated(
        job,
        function,
        Numbers([1, 2, 3], Path(folder)),
        memory_mb=MEMORY_MB,
        memory_setting="MUNIMENT_TEST_MEMORY_MB",
    )
    note = Note(str(getattr(result, "total", result)))
    await job.resource(Journal).write("returned", job, note)


isolated = task(kind="tests.isolated", lane=Lane.RECONCILE, max_attempts=2, backoff=QUICK)(run)
short_lived = task(
    kind="tests.short_lived",
    lane=Lane.RECONCILE,
    max_attempts=1,
    deadline=timedelta(seconds=2.5),
)(run)
TASKS = [isolated, short_lived, wait, write]


@pytest.fixture(autouse=True)
def family(monkeypatch: pytest.MonkeyPatch) -> Iterator[Family]:
    with new_family(monkeypatch) as family:
        yield family


class Neighbour:
    """A job that runs beside, in the same worker, and has to come to its end."""

    def __init__(self, database: Database, scope: TenantScope, jobs: Jobs, journal: Journal):
        self._database, self._scope, self._jobs, self._journal = database, scope, jobs, journal

    async def __aenter__(self) -> None:
        async with self._database.unit_of_work(self._scope) as uow:
            self._job_id = await enqueue(uow, wait, Note())
        await self._journal.until(1)

    async def __aexit__(self, *_: object) -> None:
        async with self._database.unit_of_work(self._scope) as uow:
            next_one = await enqueue(uow, write, Note())
        await self._jobs.reaches(next_one, "succeeded")
        self._journal.gate.set()
        assert (await self._jobs.reaches(self._job_id, "succeeded"))["attempts"] == 1


@pytest.fixture
def neighbour(database: Database, scope: TenantScope, jobs: Jobs, journal: Journal) -> Neighbour:
    return Neighbour(database, scope, jobs, journal)


async def test_a_job_works_in_a_process_and_reports(
    database: Database,
    scope: TenantScope,
    jobs: Jobs,
    run_worker: RunWorker,
    journal: Journal,
    tmp_path: Path,
) -> None:
    async with run_worker(tasks=TASKS):
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, isolated, Note(f"add_up {tmp_path}"))
        row = await jobs.reaches(job_id, "succeeded")
    assert journal.entries == [("returned", "6", 1)]
    assert (row["progress_done"], row["progress_total"], row["progress_unit"]) == (3, 3, "numbers")


REASONS = {
    "eat_memory": ("out_of_memory", "150 MiB", 1),
    "eat_memory_in_a_child": ("out_of_memory", "Raise MUNIMENT_TEST_MEMORY_MB", 1),
    "crash_with_children": ("process_crashed", "SIGSEGV", 2),
    "exit_silently": ("process_crashed", "exited with code 0 and gave no answer", 2),
    "flood": ("isolated_failure", "ValueError: flooded", 2),
    "stumble": ("isolated_failure", "ValueError: bad luck ?", 2),
    "end_with_sys_exit": ("isolated_failure", "SystemExit: enough", 2),
    "refuse": ("permanent_failure", "These numbers are wrong.", 1),
    "miss": ("job_not_found", "It is gone.", 2),
    "wait": ("unexpected_error", "must be a plain function", 2),
}
"""Function: code and part of the detail of its job's failure, and after how many attempts."""


async def test_what_goes_wrong_in_the_process_is_the_reason_of_the_job(
    database: Database,
    scope: TenantScope,
    jobs: Jobs,
    run_worker: RunWorker,
    neighbour: Neighbour,
    family: Family,
    tmp_path: Path,
) -> None:
    job_ids = {}
    async with run_worker(tasks=TASKS, lanes={**LANES, Lane.RECONCILE: 4}), neighbour:
        async with database.unit_of_work(scope) as uow:
            for name in REASONS:
                folder = tmp_path / name
                folder.mkdir()
                job_ids[name] = await enqueue(uow, isolated, Note(f"{name} {folder}"))
        await jobs.all_reach("failed", len(REASONS), 90)
        assert family.members() == []
    for name, (code, detail, attempts) in REASONS.items():
        row = await jobs.row(job_ids[name])
        assert (name, row["error"]["code"], row["attempts"]) == (name, code, attempts)
        assert detail in row["error"]["detail"]


@pytest.mark.parametrize("name", ["hang", "hang_with_children", "hold_the_interpreter"])
async def test_a_process_that_hangs_is_killed_at_the_deadline(
    database: Database,
    scope: TenantScope,
    jobs: Jobs,
    run_worker: RunWorker,
    neighbour: Neighbour,
    family: Family,
    tmp_path: Path,
    name: str,
) -> None:
    async with run_worker(tasks=TASKS), neighbour:
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, short_lived, Note(f"{name} {tmp_path}"))
        await until((tmp_path / "work").exists)
        row = await jobs.reaches(job_id, "failed")
        assert family.members() == []
    assert row["error"]["code"] == "deadline_exceeded"


@pytest.mark.parametrize("name", ["hang_with_children", "hold_the_interpreter"])
async def test_a_cancelled_job_stops_within_two_seconds(
    database: Database,
    scope: TenantScope,
    jobs: Jobs,
    run_worker: RunWorker,
    neighbour: Neighbour,
    family: Family,
    tmp_path: Path,
    name: str,
) -> None:
    async with run_worker(tasks=TASKS), neighbour:
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, isolated, Note(f"{name} {tmp_path}"))
        await until((tmp_path / "work").exists)
        started = time.monotonic()
        async with database.unit_of_work(scope) as uow:
            await cancel_job(uow, job_id, Anybody())
        row = await jobs.reaches(job_id, "cancelled")
        assert time.monotonic() - started < 2
        assert family.members() == []
    assert row["finished_at"] is not None


class Anybody:
    """Who cancels: nobody asks who it is, and nobody writes it down."""

    def require(self, *_: object) -> None: ...

    async def record(self, *_: object) -> None: ...


async def test_a_worker_that_stops_takes_its_processes_along(
    database: Database,
    scope: TenantScope,
    jobs: Jobs,
    run_worker: RunWorker,
    family: Family,
    tmp_path: Path,
) -> None:
    async with run_worker(tasks=TASKS, grace=0.1):
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, isolated, Note(f"hang_with_children {tmp_path}"))
        await until((tmp_path / "child").exists)
    assert family.members() == []
    row = await jobs.row(job_id)
    assert (row["status"], row["attempts"]) == ("queued", 0)


async def test_the_event_loop_is_not_held_up(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, tmp_path: Path
) -> None:
    """Not even by one that reports and prints as fast as it can; in processor time."""
    async with run_worker(tasks=TASKS):
        before = time.thread_time()
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, isolated, Note(f"flood {tmp_path}"))
        await jobs.reaches(job_id, "failed", 30)
        assert time.thread_time() - before < 2
