"""Trouble in the queue."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from muniment.db import Database, TenantScope, new_id
from muniment.db.doctor import Severity
from muniment.jobs import Lane, Worker
from tests.jobs.kinds import ALL, Journal
from tests.observability.doctor.conftest import Patient
from tests.waiting import until


@pytest.fixture
def patient(own_patient: Patient) -> Patient:
    return own_patient


async def queued(
    patient: Patient,
    scope: TenantScope,
    *,
    since: str = "3 hours",
    running: bool = False,
    entry: bool = True,
    heartbeat: str = "0 s",
) -> UUID:
    """Make a job that waits or runs; `since` and `heartbeat` say how long ago."""
    job_id = new_id()
    worker = f"'{new_id()}'" if running else "NULL"
    status, state = ("running", "running") if running else ("queued", "waiting")
    started = f"now() - interval '{since}'" if running else "NULL"
    beat = f"now() - interval '{heartbeat}'" if running else "NULL"
    patient.run(
        "INSERT INTO jobs (org_id, job_id, kind, lane, status, payload, max_attempts, deadline,"
        f" worker_id, started_at, deadline_at, queued_at) VALUES ('{scope.org_id}', '{job_id}',"
        f" 'tests.nothing', 'fast', '{status}', '{{\"text\": \"\"}}', 3, '1 minute', {worker},"
        f" {started}, now() + interval '1 minute', now() - interval '{since}')"
    )
    if entry:
        patient.run(
            "INSERT INTO queue.entries (org_id, job_id, lane, kind, group_id, priority, rank,"
            f" state, due_at, worker_id, heartbeat) VALUES ('{scope.org_id}', '{job_id}', 'fast',"
            f" 'tests.nothing', '{scope.org_id}', 0, 1, '{state}', now() - interval '{since}',"
            f" {worker}, {beat})"
        )
    return job_id


async def work_off(patient: Patient, database: Database) -> None:
    """Do what the remedy says: run a worker, until nothing waits."""

    async def idle() -> bool:
        async with database.operator() as work:
            count: int = await work.connection.fetchval(
                "SELECT count(*) FROM queue.entries WHERE state = 'waiting'"
            )
        return count == 0

    stop = asyncio.Event()
    worker: Any = Worker(database, ALL, {Journal: Journal()}, {Lane.FAST: 4})
    running = asyncio.create_task(worker.run(stop))
    await until(idle)
    stop.set()
    await running


async def test_a_lane_without_a_worker(
    patient: Patient, worker_database: Database, scope: TenantScope
) -> None:
    await queued(patient, scope)
    (finding,) = await patient.findings("jobs.workers")
    assert finding.severity is Severity.ERROR
    assert finding.title == "Nobody works on the lane fast."
    assert "3 hours" in finding.evidence
    assert finding.command == "muniment worker --lane fast"
    assert await patient.findings("jobs.queue_age") == []
    await work_off(patient, worker_database)
    assert await patient.findings("jobs.workers") == []


async def test_a_lane_with_too_few_workers(
    patient: Patient, worker_database: Database, scope: TenantScope
) -> None:
    await queued(patient, scope)
    await queued(patient, scope, running=True, since="1 s")
    assert await patient.findings("jobs.workers") == []
    (finding,) = await patient.findings("jobs.queue_age")
    assert finding.severity is Severity.WARNING
    assert finding.title == "Jobs wait long in the lane fast."
    assert finding.settings == {"MUNIMENT_FAST_CONCURRENCY": "16"}
    await work_off(patient, worker_database)
    assert await patient.findings("jobs.queue_age") == []


async def test_a_job_without_a_sign_of_life(patient: Patient, scope: TenantScope) -> None:
    job_id = await queued(patient, scope, running=True, heartbeat="1 hour")
    (finding,) = await patient.findings("jobs.stuck")
    assert finding.severity is Severity.ERROR
    assert finding.title == "Jobs run without a sign of life."
    assert str(job_id) in finding.evidence
    patient.heal(finding)
    assert await patient.findings("jobs.stuck") == []


async def test_a_job_that_is_not_in_the_queue(
    patient: Patient, database: Database, scope: TenantScope
) -> None:
    job_id = await queued(patient, scope, entry=False)
    (finding,) = await patient.findings("jobs.stuck")
    assert finding.title == "Jobs are open that are not in the queue."
    assert str(job_id) in finding.evidence
    patient.heal(finding)
    assert await patient.findings("jobs.stuck") == []
    async with database.operator() as work:
        error = await work.connection.fetchval("SELECT error FROM jobs")
    assert error["code"] == "job_lost"


async def test_many_jobs_that_fail(patient: Patient, scope: TenantScope) -> None:
    for status, error, count in (
        ("failed", '{"code": "bad", "detail": "x"}', 12),
        ("succeeded", None, 20),
    ):
        for _ in range(count):
            patient.run(
                "INSERT INTO jobs (org_id, job_id, kind, lane, status, payload, max_attempts,"
                f" deadline, error, finished_at) VALUES ('{scope.org_id}', '{new_id()}', 'tests.x',"
                f" 'fast', '{status}', '{{}}', 1, '1 minute',"
                f" {'NULL' if error is None else repr(error)}, now())"
            )
    (finding,) = await patient.findings("jobs.failures")
    assert finding.severity is Severity.WARNING
    assert finding.title == "Many jobs of the kind tests.x fail."
    assert finding.evidence == "12 of 32 in the last hour; by reason: bad 12."
    # Retried, after what they tell was mended, they succeed.
    patient.run("UPDATE jobs SET status = 'succeeded', error = NULL WHERE status = 'failed'")
    assert await patient.findings("jobs.failures") == []


async def test_failures_are_forgotten_after_an_hour(patient: Patient, scope: TenantScope) -> None:
    await test_many_jobs_that_fail(patient, scope)
    patient.run('UPDATE jobs SET status = \'failed\', error = \'{"code": "bad", "detail": "x"}\'')
    assert len(await patient.findings("jobs.failures")) == 1
    patient.ahead = timedelta(hours=2)
    assert await patient.findings("jobs.failures") == []
