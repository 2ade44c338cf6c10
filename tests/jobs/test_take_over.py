"""Dead workers' jobs are taken over; starved workers keep theirs; nothing is done twice."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from muniment.db import Database, TenantScope, load_statements, new_id, observe_statements
from muniment.jobs import Lane, enqueue, enqueue_many
from muniment.jobs.claim import Claimer
from muniment.jobs.errors import JobLost
from muniment.jobs.outcome import DATABASE_TROUBLE
from muniment.jobs.presence import Presence
from muniment.jobs.running_job import RunningJob
from muniment.jobs.task import Task, task
from tests.jobs.conftest import Jobs, RunWorker, queue_length
from tests.jobs.effects import STEPS, Effect, affect, create_effects
from tests.jobs.kinds import Note, write

ROOT = Path(__file__).parents[2]
statements = load_statements("muniment.jobs")


@pytest.fixture
def database(worker_database: Database) -> Database:
    """What workers do is done as a worker here."""
    return worker_database


@asynccontextmanager
async def worker_process(clone: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.jobs.worker_process",
        clone.installation.worker_dsn,
        clone.installation.operator_dsn,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_killed_worker_loses_and_doubles_nothing(
    clone: Any, database: Database, scope: TenantScope, jobs: Jobs, seed: int
) -> None:
    await create_effects(clone.installation.owner_dsn)
    count = 12
    async with database.unit_of_work(scope) as uow:
        effects = [Effect(str(number), pause=0.02) for number in range(count)]
        await enqueue_many(uow, affect, effects)
    async with worker_process(clone) as first:
        kill_at = random.Random(seed).randint(1, count * STEPS - 1)
        async with asyncio.timeout(30):
            while await count_effects(database) < kill_at:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        first.kill()
        await first.wait()
    async with worker_process(clone):
        await jobs.all_reach("succeeded", count)
    assert await count_effects(database) == count * STEPS
    assert await queue_length(database) == 0


async def test_a_living_worker_takes_over_from_a_killed_one(
    clone: Any, database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    await create_effects(clone.installation.owner_dsn)
    async with worker_process(clone) as other:
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, affect, Effect("one", pause=0.3))
        await jobs.reaches(job_id, "running")
        async with run_worker(tasks=[affect]):
            other.kill()
            row = await jobs.reaches(job_id, "succeeded")
    assert row["attempts"] == 2
    assert await count_effects(database) == STEPS


async def test_a_job_that_kills_its_workers_fails_in_the_end(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    async with database.unit_of_work(scope) as uow:
        job_id = await enqueue(uow, deadly, Note())
    for attempt in (1, 2):
        claimed = await Claimer(database, new_id()).claim(Lane.FAST, 1)
        assert [claim.attempt for claim in claimed.claims] == [attempt]
        # The worker that claimed it was never alive. One that does not serve the lane acts.
        async with run_worker(tasks=[], lanes={Lane.EMBED: 1}):
            row = await jobs.reaches(job_id, "queued" if attempt == 1 else "failed")
    assert row["error"] == {
        "code": "worker_lost",
        "detail": "The worker died while it ran this job (attempt 2 of 2).",
    }
    assert row["finished_at"] is not None
    assert await queue_length(database) == 0


@task(kind="tests.deadly", lane=Lane.FAST, max_attempts=2)
async def deadly(job: RunningJob, payload: Note) -> None: ...


async def test_a_starved_worker_keeps_its_jobs(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    """It shows no life but its connection, as a process does that gets no processor time."""
    starved = new_id()
    async with presence_of(database, starved) as presence:
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, write, Note())
        await Claimer(database, starved).claim(Lane.FAST, 1)
        looks: list[str] = []
        with observe_statements(lambda name, _seconds, _error: looks.append(name)):
            async with run_worker():
                async with asyncio.timeout(20):
                    while looks.count("jobs.dead_workers") < 3:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                assert (await jobs.row(job_id))["status"] == "running"
                presence.cancel()
                await jobs.reaches(job_id, "succeeded")


async def test_a_worker_that_was_taken_for_dead_commits_nothing(
    clone: Any, database: Database, scope: TenantScope, jobs: Jobs
) -> None:
    await create_effects(clone.installation.owner_dsn)
    job_id, job = await claim_one(database, scope, affect, Effect("late"))

    async def act_late() -> None:
        async with job.unit_of_work() as uow:
            await uow.connection.execute("INSERT INTO effects VALUES ('late', 1, 1)")
            async with database.system() as system:
                taken = await statements.take_over_jobs(
                    system, dead=[job._worker_id], silence=FOREVER
                )
            assert [row["job_id"] for row in taken] == [job_id]

    with pytest.raises(JobLost):
        await act_late()
    assert await count_effects(database) == 0
    assert (await jobs.row(job_id))["status"] == "queued"


async def test_an_attempt_whose_job_was_taken_is_stopped(
    clone: Any, database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    """The worker finds out as soon as it is connected again."""
    began, ended = asyncio.Event(), asyncio.Event()

    @task(kind="tests.linger", lane=Lane.FAST, max_attempts=1)
    async def linger(job: RunningJob, payload: Note) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            assert job.cancelled
            ended.set()

    async with run_worker(tasks=[linger]) as worker:
        async with database.unit_of_work(scope) as uow:
            job_id = await enqueue(uow, linger, Note())
        await began.wait()
        async with database.system() as system:
            await statements.take_over_jobs(system, dead=[worker.worker_id], silence=FOREVER)
        await terminate_connections(clone.installation.owner_dsn)
        async with asyncio.timeout(10):
            await ended.wait()
    row = await Jobs(database, scope).reaches(job_id, "failed")
    assert row["error"]["code"] == "worker_lost"


async def test_who_is_about_to_commit_is_not_robbed(
    clone: Any, database: Database, scope: TenantScope, jobs: Jobs
) -> None:
    """The check for the job and the commit are one: a take-over in between has to wait."""
    await create_effects(clone.installation.owner_dsn)
    job_id, job = await claim_one(database, scope, affect, Effect("in time"))
    async with database.unit_of_work(scope) as uow:
        await uow.connection.execute("INSERT INTO effects VALUES ('in time', 1, 1)")
        held = {"worker_id": job._worker_id, "started_at": job._started_at}
        to_cancel = await statements.hold_job(uow, org_id=scope.org_id, job_id=job_id, **held)
        assert to_cancel is False
        taking = asyncio.create_task(take_over(database, job))
        async with database.system() as system, asyncio.timeout(10):
            while not await system.connection.fetchval(BLOCKED):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert await taking == [job_id]
    assert await count_effects(database) == 1


FOREVER = timedelta(days=1)
BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted"


async def take_over(database: Database, job: RunningJob) -> list[object]:
    async with database.system() as uow:
        rows = await statements.take_over_jobs(uow, dead=[job._worker_id], silence=FOREVER)
    return [row["job_id"] for row in rows]


async def claim_one(
    database: Database, scope: TenantScope, kind: Task[Any], payload: Any
) -> tuple[object, RunningJob]:
    async with database.unit_of_work(scope) as uow:
        job_id = await enqueue(uow, kind, payload)
    worker_id = new_id()
    claimed = await Claimer(database, worker_id).claim(kind.lane, 1)
    job = RunningJob(
        claimed.claims[0],
        scope,
        worker_id,
        database=database,
        resources={},
        on_progress=lambda _: None,
    )
    return job_id, job


@asynccontextmanager
async def presence_of(database: Database, worker_id: Any) -> AsyncIterator[asyncio.Task[None]]:
    presence = Presence(
        database.dsn,
        worker_id,
        lanes=[],
        on_work=lambda _: None,
        on_cancel=lambda _: None,
        on_connected=lambda: None,
    )
    keeping = asyncio.create_task(presence.keep())
    await presence.held.wait()
    yield keeping
    keeping.cancel()
    await asyncio.wait([keeping])


async def count_effects(database: Database) -> int:
    async with database.system() as uow:
        return int(await uow.connection.fetchval("SELECT count(*) FROM effects"))


async def test_lost_connections_are_made_again(
    clone: Any, database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    await create_effects(clone.installation.owner_dsn)
    rounds, count = 4, 20

    async def enqueue_round(number: int) -> None:
        async with database.unit_of_work(scope) as uow:
            effects = [Effect(f"{number} {each}", pause=0.01) for each in range(count)]
            await enqueue_many(uow, affect, effects)

    async with run_worker(tasks=[affect], lanes={Lane.CONVERT: 4}):
        for number in range(rounds):
            await persistently(lambda number=number: enqueue_round(number))
            await persistently(lambda done=number * count + 3: jobs.all_reach("succeeded", done))
            await terminate_connections(clone.installation.owner_dsn)
        await persistently(lambda: jobs.all_reach("succeeded", rounds * count))
    assert await count_effects(database) == rounds * count * STEPS
    assert await queue_length(database) == 0


async def persistently(action: Callable[[], Awaitable[None]]) -> None:
    """Do it although our own connections are cut as well."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await action()
            except DATABASE_TROUBLE:
                await asyncio.sleep(0.01)


async def terminate_connections(owner_dsn: str) -> None:
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename = 'muniment_worker'"
    )
    await connection.close()
