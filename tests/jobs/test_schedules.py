"""Recurring jobs: when they come due, and that one worker enqueues each, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from muniment.db import Database, TenantScope
from muniment.job_oversight import TenancyOversight
from muniment.jobs.schedules import list_schedules, put_schedule, remove_schedule
from muniment.jobs.schedules.errors import InvalidSchedule, ScheduleNotFound
from muniment.jobs.schedules.library import change_schedule
from muniment.jobs.schedules.schemas import Schedule, ScheduleChange
from muniment.jobs.schedules.timing import next_time
from tests.conftest import make_organization
from tests.jobs.conftest import Jobs, RunWorker
from tests.jobs.kinds import Journal, Note, wait, write
from tests.waiting import until

OVERSIGHT = TenancyOversight()


@pytest.mark.parametrize(
    ("cron", "timezone", "after", "due"),
    [
        ("*/15 * * * *", "UTC", "2026-11-22T10:07:30Z", "2026-11-22T10:15:00Z"),
        ("0 3 * * *", "Europe/Amsterdam", "2026-11-22T10:00:00Z", "2026-11-23T02:00:00Z"),
        ("0 3 * * MON", "UTC", "2026-11-22T10:00:00Z", "2026-11-23T03:00:00Z"),
        ("0 0 29 2 *", "UTC", "2026-11-22T10:00:00Z", "2028-02-29T00:00:00Z"),
        # Clocks go forward at two: the job of half past two runs at three.
        ("30 2 * * *", "Europe/Amsterdam", "2027-03-27T12:00:00Z", "2027-03-28T01:00:00Z"),
        # Clocks go back at three: the hour comes twice, the job once, the next is tomorrow's.
        ("30 2 * * *", "Europe/Amsterdam", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
        ("30 2 * * *", "Europe/Amsterdam", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
    ],
)
def test_next_time(cron: str, timezone: str, after: str, due: str) -> None:
    found = next_time(cron, timezone, datetime.fromisoformat(after))
    assert found == datetime.fromisoformat(due)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("cron", "timezone", "told"),
    [
        ("every day", "UTC", "five fields"),
        ("* * * * * *", "UTC", "five fields"),
        ("61 * * * *", "UTC", "minute"),
        ("0 0 31 2 *", "UTC", "day-of-month|never"),
        ("0 3 * * *", "Mars/Olympus", "IANA"),
        ("0 3 * * *", "../etc/passwd", "IANA"),
        ("0 3 * * *", "", "IANA"),
    ],
)
def test_what_cannot_be_understood_is_told(cron: str, timezone: str, told: str) -> None:
    with pytest.raises(InvalidSchedule, match=told):
        next_time(cron, timezone, datetime.now(UTC))


async def schedule(database: Database, scope: TenantScope, name: str = "nightly") -> Schedule:
    async with database.unit_of_work(scope) as work:
        return await put_schedule(work, name, write, Note("by schedule"), cron="0 3 * * *")


async def is_due(database: Database, ago: timedelta = timedelta(0)) -> None:
    """Turn the clock of all schedules, and tell the workers."""
    async with database.operator() as work:
        await work.connection.execute(
            "UPDATE job_schedules SET next_at = now() - $1::interval", ago
        )
        await work.connection.execute("SELECT pg_notify('muniment_jobs', 'schedules')")


async def test_a_job_is_enqueued_when_its_schedule_is_due(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    made = await schedule(database, scope)
    assert made.next_at > datetime.now(UTC)
    async with run_worker():
        await is_due(database)
        await journal.until(1)
    async with database.unit_of_work(scope) as work:
        page = await list_schedules(work, limit=10, cursor=None, secret=b"")
    (found,) = page.items
    assert found.next_at == made.next_at
    assert found.last_at is not None
    assert found.last_job_id is not None
    assert (await jobs.row(found.last_job_id))["kind"] == "tests.write"


async def test_of_several_workers_one_enqueues_and_what_was_missed_is_made_up_once(
    database: Database,
    scope: TenantScope,
    other_scope: TenantScope,
    run_worker: RunWorker,
    journal: Journal,
) -> None:
    for number in range(10):
        await schedule(database, scope, f"number {number}")
    await schedule(database, other_scope)
    await is_due(database, timedelta(days=30))
    async with run_worker(), run_worker(), run_worker():
        await journal.until(11)
    assert len(journal.entries) == 11


async def test_a_run_that_takes_long_does_not_pile_up(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with database.unit_of_work(scope) as work:
        await put_schedule(work, "slow", wait, Note(), cron="* * * * *")
    async with run_worker():
        for due in range(1, 6):
            await is_due(database)
            await until(lambda: _enqueued(database))
            if due == 1:
                await journal.until(1)
        assert (await jobs.count("running"), await jobs.count("queued")) == (1, 1)
        journal.gate.set()
        await jobs.all_reach("succeeded", 2)


async def _enqueued(database: Database, but: UUID | None = None) -> bool:
    query = (
        "SELECT bool_and(next_at > now()) FROM job_schedules WHERE schedule_id IS DISTINCT FROM $1"
    )
    async with database.operator() as work:
        return bool(await work.connection.fetchval(query, but))


async def test_a_schedule_that_nobody_understands_holds_up_no_other(
    database: Database, scope: TenantScope, run_worker: RunWorker, journal: Journal
) -> None:
    odd = await schedule(database, scope, "odd")
    broken = await schedule(database, scope, "broken")
    lost = await schedule(database, scope, "of a time zone that is gone")
    await schedule(database, scope, "well")
    async with database.operator() as work:
        change = "UPDATE job_schedules SET {} WHERE schedule_id = $1"
        await work.connection.execute(change.format("kind = 'tests.unknown'"), odd.id)
        await work.connection.execute(change.format("payload = '{\"text\": 7}'"), broken.id)
        await work.connection.execute(change.format("timezone = 'Mars/Olympus'"), lost.id)
    async with run_worker():
        await is_due(database)
        await journal.until(1)
        await until(lambda: _enqueued(database, but=lost.id))
    assert len(journal.entries) == 1


async def test_disabled_and_removed_schedules_and_suspended_organizations_start_nothing(
    database: Database,
    scope: TenantScope,
    other_scope: TenantScope,
    run_worker: RunWorker,
    journal: Journal,
) -> None:
    disabled, removed = await schedule(database, scope, "a"), await schedule(database, scope, "b")
    await schedule(database, other_scope)
    async with database.unit_of_work(scope) as work:
        after = await change_schedule(work, disabled.id, ScheduleChange(enabled=False), OVERSIGHT)
        assert not after.enabled
        await remove_schedule(work, removed.id, OVERSIGHT)
        with pytest.raises(ScheduleNotFound):
            await remove_schedule(work, removed.id, OVERSIGHT)
        told = await work.connection.fetch("SELECT action, target_type FROM audit_log ORDER BY 1")
    assert [tuple(row) for row in told] == [
        ("schedule.changed", "schedule"),
        ("schedule.removed", "schedule"),
    ]
    async with database.operator() as work:
        await work.connection.execute(
            "UPDATE organizations SET suspended_at = now(), suspended_because = 'test'"
            " WHERE org_id = $1",
            other_scope.org_id,
        )
    neighbour = await make_organization(database, "Neighbour")
    await schedule(database, neighbour)
    async with run_worker():
        await is_due(database)
        await journal.until(1)
    async with database.operator() as work:
        rows = await work.connection.fetch("SELECT org_id FROM jobs")
    assert [row["org_id"] for row in rows] == [neighbour.org_id]


async def test_putting_a_schedule_again_changes_it(database: Database, scope: TenantScope) -> None:
    first = await schedule(database, scope)
    async with database.unit_of_work(scope) as work:
        second = await put_schedule(
            work, "nightly", write, Note(), cron="0 4 * * *", timezone="Asia/Tokyo"
        )
        assert (second.id, second.cron, second.timezone) == (first.id, "0 4 * * *", "Asia/Tokyo")
        with pytest.raises(InvalidSchedule):
            await change_schedule(work, first.id, ScheduleChange(cron="never"), OVERSIGHT)
        with pytest.raises(ScheduleNotFound):
            await change_schedule(work, UUID(int=7), ScheduleChange(enabled=True), OVERSIGHT)


async def test_schedules_are_listed_page_by_page_and_by_organization(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    made = [await schedule(database, scope, f"schedule {number}") for number in range(5)]
    await schedule(database, other_scope)
    found, cursor = list[Schedule](), None
    async with database.unit_of_work(scope) as work:
        while True:
            page = await list_schedules(work, limit=2, cursor=cursor, secret=b"secret")
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
    assert found == made
