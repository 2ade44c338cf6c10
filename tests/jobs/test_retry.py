"""Trying again: under the same id, with all attempts, and never beside an equal job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from muniment.db import Database, TenantScope, new_id
from muniment.jobs import JobNotFound, enqueue
from muniment.jobs.control.change import cancel_job, retry_job
from muniment.jobs.errors import EqualJobWaits, JobNotRetryable
from muniment.jobs.schemas import Job
from tests.jobs.conftest import Jobs, RunWorker, queue_length
from tests.jobs.kinds import Journal, Note, fail, nothing, refuse
from tests.jobs.test_cancel import Seen, cancelled, entries, queued


async def retried(
    database: Database, scope: TenantScope, job_id: UUID, seen: Seen | None = None
) -> Job:
    async with database.unit_of_work(scope) as work:
        return await retry_job(work, job_id, seen or Seen())


async def test_a_failed_job_runs_again_with_all_of_its_attempts(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker():
        job_id = await queued(database, scope, task=fail)
        before = await jobs.reaches(job_id, "failed")
        assert len(journal.entries) == 3
    seen = Seen()
    again = await retried(database, scope, job_id, seen)
    assert (again.id, again.status, again.attempts, again.error) == (job_id, "queued", 0, None)
    assert (again.started_at, again.finished_at, again.progress.done) == (None, None, 0)
    assert again.queued_at == before["queued_at"]
    assert [(deed, about) for deed, about, *_ in seen.deeds] == [("job.retried", job_id)]
    assert seen.deeds[0][2]["error"] == "unexpected_error"
    with pytest.raises(JobNotRetryable, match="this one is queued"):
        await retried(database, scope, job_id)
    async with run_worker():
        await jobs.reaches(job_id, "failed")
    assert [attempt for _what, _text, attempt in journal.entries] == [1, 2, 3] * 2
    assert await queue_length(database) == 0


async def test_a_cancelled_job_wakes_its_lane_when_retried(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    job_id = await queued(database, scope, task=nothing)
    await cancelled(database, scope, job_id)
    async with run_worker():
        await retried(database, scope, job_id)
        row = await jobs.reaches(job_id, "succeeded", 5.0)
    assert row["cancel_requested_at"] is None
    assert row["waited_us"] < 5_000_000  # counted from the retry


async def test_only_what_failed_or_was_cancelled_is_retried(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    async with run_worker():
        job_id = await queued(database, scope, task=nothing)
        await jobs.reaches(job_id, "succeeded")
    with pytest.raises(JobNotRetryable, match="this one is succeeded"):
        await retried(database, scope, job_id)
    assert await entries(database, scope) == {}


async def test_an_equal_job_that_waits_stands_for_it(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    async with run_worker():
        first = await queued(database, scope, task=refuse, dedupe_key="one")
        await jobs.reaches(first, "failed")
    second = await queued(database, scope, task=refuse, dedupe_key="one")
    assert second != first
    with pytest.raises(EqualJobWaits):
        await retried(database, scope, first)
    assert (await jobs.row(first))["status"] == "failed"
    await cancelled(database, scope, second)
    assert (await retried(database, scope, first)).status == "queued"
    # The one that was retried waits now, so it stands for what is enqueued.
    assert await queued(database, scope, task=refuse, dedupe_key="one") == first


async def test_other_organizations_and_workspaces_are_out_of_reach(
    database: Database, scope: TenantScope, other_scope: TenantScope, jobs: Jobs
) -> None:
    async with database.unit_of_work(scope) as work:
        workspace_id = await work.connection.fetchval("SELECT workspace_id FROM workspaces")
    limited = replace(scope, workspace_id=workspace_id)
    ours = await queued(database, scope)
    await cancelled(database, scope, ours)
    for caller, job_id in [(other_scope, ours), (limited, ours), (scope, new_id())]:
        with pytest.raises(JobNotFound):
            await retried(database, caller, job_id)
    assert (await jobs.row(ours))["status"] == "cancelled"


async def test_a_job_takes_its_turn_again(database: Database, scope: TenantScope) -> None:
    """Behind what waits of its source, as a new one would."""
    source = new_id()
    async with database.unit_of_work(scope) as work:
        job_id = await enqueue(work, nothing, Note(), group_id=source)
        await cancel_job(work, job_id, Seen())
        others = [await enqueue(work, nothing, Note(), group_id=source) for _ in range(2)]
        await retry_job(work, job_id, Seen())
    found: dict[UUID, Any] = await entries(database, scope)
    assert found[job_id]["group_id"] == source
    assert found[job_id]["rank"] > max(found[other]["rank"] for other in others)
