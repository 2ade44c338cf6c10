"""Cancelling: what waits at once, what runs when it is told, and descendants with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from muniment.db import Database, TenantScope, UnitOfWork, WorkspaceId, new_id
from muniment.jobs import JobNotFound, Lane, RunningJob, enqueue, enqueue_many, task
from muniment.jobs.channels import CONTROL
from muniment.jobs.control.change import Cancelled, cancel_job
from muniment.jobs.control.oversight import Deed
from muniment.jobs.errors import JobHasEnded
from tests.jobs.conftest import Jobs, RunWorker
from tests.jobs.kinds import Journal, Note, nothing, wait, write
from tests.waiting import until


class Seen:
    """An oversight that allows everything and notes what it is told."""

    def __init__(self) -> None:
        self.deeds: list[tuple[Deed, UUID, dict[str, Any], dict[str, Any]]] = []
        self.workspaces: list[WorkspaceId] = []

    def require(self, work: UnitOfWork, workspace_id: WorkspaceId) -> None:
        self.workspaces.append(workspace_id)

    async def record(
        self,
        work: UnitOfWork,
        deed: Deed,
        job_id: UUID,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
    ) -> None:
        self.deeds.append((deed, job_id, dict(before), dict(after)))


async def cancelled(
    database: Database, scope: TenantScope, job_id: UUID, seen: Seen | None = None
) -> Cancelled:
    async with database.unit_of_work(scope) as work:
        return await cancel_job(work, job_id, seen or Seen())


async def queued(database: Database, scope: TenantScope, **options: Any) -> UUID:
    async with database.unit_of_work(scope) as work:
        return await enqueue(work, options.pop("task", nothing), Note(), **options)


async def entries(database: Database, scope: TenantScope) -> dict[UUID, asyncpg.Record]:
    async with database.unit_of_work(scope) as work:
        rows = await work.connection.fetch("SELECT * FROM queue.entries")
    return {row["job_id"]: row for row in rows}


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(hours=1)])
async def test_what_waits_is_cancelled_at_once(
    database: Database, scope: TenantScope, jobs: Jobs, delay: timedelta
) -> None:
    job_id = await queued(database, scope, run_after=delay)
    seen = Seen()
    done = await cancelled(database, scope, job_id, seen)
    assert (done.job.status, done.ended, done.asked) == ("cancelled", 1, 0)
    assert done.job.finished_at is not None
    assert await entries(database, scope) == {}
    assert [(deed, about) for deed, about, *_ in seen.deeds] == [("job.cancelled", job_id)]
    again = await cancelled(database, scope, job_id, seen)
    assert (again.job, again.pending) == (done.job, False)
    assert len(seen.deeds) == 1


async def test_what_runs_stops_within_two_seconds(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker():
        job_id = await queued(database, scope, task=wait)
        await journal.until(1)
        done = await cancelled(database, scope, job_id)
        assert (done.job.status, done.ended, done.asked) == ("running", 0, 1)
        assert done.job.cancel_requested
        row = await jobs.reaches(job_id, "cancelled", 2.0)
    assert row["finished_at"] is not None
    assert await entries(database, scope) == {}
    assert len(journal.entries) == 1


async def test_a_worker_is_told_when_it_is_committed(
    clone: Any, database: Database, scope: TenantScope
) -> None:
    job_id = await queued(database, scope)
    await _as_if_running(clone, job_id)
    heard: list[str] = []
    listener = await asyncpg.connect(clone.installation.app_dsn)
    try:
        await listener.add_listener(CONTROL, lambda *notice: heard.append(str(notice[3])))
        for _ in range(2):
            await cancelled(database, scope, job_id)
        await until(lambda: heard == [str(job_id)] * 2)
    finally:
        await listener.close()
    entry = (await entries(database, scope))[job_id]
    assert entry["cancel_requested"]


async def test_descendants_are_cancelled_too(
    clone: Any, database: Database, scope: TenantScope, jobs: Jobs
) -> None:
    parent = await queued(database, scope)
    child, runs = [await queued(database, scope, parent_id=parent) for _ in range(2)]
    grandchild = await queued(database, scope, parent_id=child)
    beside = await queued(database, scope)
    await _as_if_running(clone, runs)
    seen = Seen()
    done = await cancelled(database, scope, parent, seen)
    assert (done.ended, done.asked) == (3, 1)
    states = {job: (await jobs.row(job))["status"] for job in (parent, child, grandchild, runs)}
    assert states == dict.fromkeys((parent, child, grandchild), "cancelled") | {runs: "running"}
    assert (await jobs.row(runs))["cancel_requested_at"] is not None
    assert (await jobs.row(beside))["status"] == "queued"
    assert seen.deeds[0][3]["descendants"] == 3


async def test_children_of_a_parent_that_has_ended_can_be_cancelled(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    async with run_worker(lanes={Lane.FAST: 1}):
        parent = await queued(database, scope, task=write)
        await jobs.reaches(parent, "succeeded")
        child = await queued(database, scope, task=wait, parent_id=parent)
        assert (await cancelled(database, scope, parent)).ended == 1
        assert (await jobs.row(child))["status"] == "cancelled"
        with pytest.raises(JobHasEnded, match="has succeeded"):
            await cancelled(database, scope, parent)


async def test_other_organizations_and_workspaces_are_out_of_reach(
    database: Database, scope: TenantScope, other_scope: TenantScope, jobs: Jobs
) -> None:
    async with database.unit_of_work(scope) as work:
        workspace_id = await work.connection.fetchval("SELECT workspace_id FROM workspaces")
    limited = replace(scope, workspace_id=workspace_id)
    ours = await queued(database, scope)
    below = await queued(database, limited, parent_id=ours)
    for caller, job_id in [(other_scope, ours), (limited, ours), (scope, new_id())]:
        with pytest.raises(JobNotFound):
            await cancelled(database, caller, job_id)
    seen = Seen()
    assert (await cancelled(database, limited, below, seen)).ended == 1
    assert seen.workspaces == [workspace_id]
    assert (await jobs.row(ours))["status"] == "queued"


async def test_cancelling_and_claiming_at_once_loses_nothing(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    """Each job ends in one way, whoever comes first, and no entry is left behind."""
    async with database.unit_of_work(scope) as work:
        parent = await enqueue(work, nothing, Note(), run_after=timedelta(hours=1))
        ids = await enqueue_many(work, nothing, [Note()] * 300, parent_id=parent)
    async with run_worker(lanes={Lane.FAST: 8}):
        await jobs.all_reach("succeeded", 10)
        await asyncio.gather(*(cancelled(database, scope, parent) for _ in range(3)))

        async def settled() -> bool:
            return await jobs.count("succeeded") + await jobs.count("cancelled") == len(ids) + 1

        await until(settled)
        await until(lambda: _no_entries(database, scope))


async def _no_entries(database: Database, scope: TenantScope) -> bool:
    return await entries(database, scope) == {}


async def _as_if_running(clone: Any, job_id: UUID) -> None:
    owner = await asyncpg.connect(clone.installation.owner_dsn)
    await owner.execute(
        "UPDATE jobs SET status = 'running', worker_id = $1, started_at = now(), attempts = 1"
        " WHERE job_id = $1",
        job_id,
    )
    await owner.execute(
        "UPDATE queue.entries SET state = 'running', worker_id = $1, heartbeat = now()"
        " WHERE job_id = $1",
        job_id,
    )
    await owner.close()


@task(kind="tests.steps", lane=Lane.FAST)
async def steps(job: RunningJob, payload: Note) -> None:
    """Commit one step, wait, and try to commit another."""
    async with job.unit_of_work() as work:
        await enqueue(work, nothing, Note("first"), parent_id=job.job_id)
    await job.resource(Journal).write("steps", job, payload)
    await job.resource(Journal).gate.wait()
    async with job.unit_of_work() as work:
        await enqueue(work, nothing, Note("second"), parent_id=job.job_id)


async def test_a_job_that_is_to_be_cancelled_commits_nothing_more(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    """Even where the notice has not reached its worker, so that it leaves no children behind."""
    async with run_worker(tasks=[steps], lanes={Lane.FAST: 1}):
        async with database.unit_of_work(scope) as work:
            job_id = await enqueue(work, steps, Note())
        await journal.until(1)
        async with database.operator() as work:
            await work.connection.execute(
                "UPDATE jobs SET cancel_requested_at = now() WHERE job_id = $1", job_id
            )
        journal.gate.set()
        await jobs.reaches(job_id, "cancelled")
    async with database.unit_of_work(scope) as work:
        children = "SELECT count(*) FROM jobs WHERE parent_id = $1"
        assert await work.connection.fetchval(children, job_id) == 1
