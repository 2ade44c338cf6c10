"""Organizations take turns in a lane, and so do the sources of one; equal work runs once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from muniment.db import Database, TenantScope, new_id
from muniment.jobs import Lane, enqueue, enqueue_many
from muniment.jobs.claim import Claim, Claimer
from tests.conftest import make_organization
from tests.jobs.conftest import Jobs, RunWorker
from tests.jobs.kinds import Journal, Note, nothing, wait, write
from tests.waiting import until


async def order_of(
    database: Database, batch: int, count: int, lane: Lane = Lane.FAST
) -> list[Claim]:
    """Claim in batches until so many jobs have started, and return them in their order."""
    claimer, order = Claimer(database, new_id()), list[Claim]()
    while len(order) < count:
        claimed = await claimer.claim(lane, batch)
        assert claimed.claims, f"{len(order)} of {count} started"
        order += claimed.claims
    return order


def positions(order: Sequence[Claim], scope: TenantScope) -> list[int]:
    return [place for place, claim in enumerate(order, 1) if claim.org_id == scope.org_id]


@pytest.mark.parametrize("batch", [1, 3, 8, 200])
async def test_few_jobs_do_not_wait_for_the_many_of_another_organization(
    worker_database: Database, scope: TenantScope, other_scope: TenantScope, batch: int
) -> None:
    async with worker_database.unit_of_work(scope) as uow:
        await enqueue_many(uow, nothing, [Note()] * 10_000)
    async with worker_database.unit_of_work(other_scope) as uow:
        await enqueue_many(uow, nothing, [Note()] * 10)
    order = await order_of(worker_database, batch, 40)
    assert len(positions(order, other_scope)) == 10
    assert max(positions(order, other_scope)) <= 22


async def test_the_ten_of_a_running_worker_are_among_the_first_forty(
    database: Database,
    scope: TenantScope,
    other_scope: TenantScope,
    run_worker: RunWorker,
    journal: Journal,
) -> None:
    for of, name, count in ((scope, "many", 10_000), (other_scope, "few", 10)):
        async with database.unit_of_work(of) as uow:
            await enqueue_many(uow, write, [Note(name)] * count)
    async with run_worker():
        await journal.until(40)
    assert [text for _, text, _ in journal.entries[:40]].count("few") == 10


async def test_the_nth_of_one_ranks_with_the_nth_of_another(
    worker_database: Database, scope: TenantScope
) -> None:
    others = [await make_organization(worker_database, f"Organization {n}") for n in range(4)]
    for of in (scope, *others):
        async with worker_database.unit_of_work(of) as uow:
            await enqueue_many(uow, nothing, [Note()] * 6)
    order = await order_of(worker_database, 7, 30)
    for of in (scope, *others):
        for nth, place in enumerate(positions(order, of)):
            # Batches of seven do not divide by five: one place more or less.
            assert abs(place - 5 * nth) <= 7


async def test_sources_of_an_organization_take_turns(
    worker_database: Database, scope: TenantScope
) -> None:
    big, small = new_id(), new_id()
    async with worker_database.unit_of_work(scope) as uow:
        for _ in range(5):  # a sync enqueues in several batches, which gain it nothing
            await enqueue_many(uow, nothing, [Note()] * 100, group_id=big)
    await order_of(worker_database, 50, 100)
    async with worker_database.unit_of_work(scope) as uow:
        late = set(await enqueue_many(uow, nothing, [Note()] * 10, group_id=small))
    order = [claim.job_id for claim in await order_of(worker_database, 10, 40)]
    assert late <= set(order[:22])


async def test_priority_counts_within_an_organization_only(
    worker_database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    async with worker_database.unit_of_work(scope) as uow:
        await enqueue_many(uow, nothing, [Note()] * 50, priority=100)
        await enqueue_many(uow, nothing, [Note()] * 50, priority=1)
        urgent = await enqueue(uow, nothing, Note(), priority=1000)
    async with worker_database.unit_of_work(other_scope) as uow:
        await enqueue_many(uow, nothing, [Note()] * 10)
    order = await order_of(worker_database, 4, 24)
    assert max(positions(order, other_scope)) <= 22
    assert urgent in [claim.job_id for claim in order[:2]]


async def test_jobs_that_were_delayed_take_their_turn_once_they_are_due(
    worker_database: Database, scope: TenantScope
) -> None:
    delay, source = timedelta(milliseconds=50), new_id()
    async with worker_database.unit_of_work(scope) as uow:
        await enqueue_many(uow, nothing, [Note()] * 30, run_after=delay, group_id=source)
        await enqueue_many(uow, nothing, [Note()] * 30)
    first = {claim.job_id for claim in await order_of(worker_database, 5, 10)}
    assert len(first) == 10
    await until(lambda: _all_due(worker_database))
    order = await order_of(worker_database, 4, 40)
    assert len(order) >= 40


async def _all_due(database: Database) -> bool:
    async with database.operator() as uow:
        return not await uow.connection.fetchval(
            "SELECT count(*) FROM queue.entries WHERE due_at > now()"
        )


async def test_jobs_of_a_suspended_organization_wait(
    worker_database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    for of in (scope, other_scope):
        async with worker_database.unit_of_work(of) as uow:
            await enqueue_many(uow, nothing, [Note()] * 3)
    await _suspend(worker_database, scope, "now()")
    claimer = Claimer(worker_database, new_id())
    claimed = await claimer.claim(Lane.FAST, 10)
    assert {claim.org_id for claim in claimed.claims} == {other_scope.org_id}
    nothing_more = await claimer.claim(Lane.FAST, 10)
    assert (nothing_more.claims, nothing_more.next_due) == ([], None)
    await _suspend(worker_database, scope, "NULL")
    assert len((await claimer.claim(Lane.FAST, 10)).claims) == 3


async def _suspend(database: Database, scope: TenantScope, when: str) -> None:
    async with database.operator() as uow:
        await uow.connection.execute(
            f"UPDATE organizations SET suspended_at = {when}, suspended_because = 'test'"
            " WHERE org_id = $1",
            scope.org_id,
        )


async def test_a_paused_lane_starts_nothing_and_the_others_do(
    worker_database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    async with worker_database.operator() as uow:
        await uow.connection.execute(
            "INSERT INTO queue.paused_lanes (lane, paused_by) VALUES ('convert', 'test')"
        )
    async with run_worker():
        async with worker_database.unit_of_work(scope) as uow:
            held = await enqueue(uow, wait, Note())
            runs = await enqueue(uow, write, Note())
        await jobs.reaches(runs, "succeeded")
        assert (await jobs.row(held))["status"] == "queued"
        async with worker_database.operator() as uow:
            await uow.connection.execute("DELETE FROM queue.paused_lanes")
            await uow.connection.execute("SELECT pg_notify('muniment_jobs', 'convert')")
        await jobs.reaches(held, "running")


async def test_of_equal_jobs_one_runs_and_one_waits(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker():
        first = await _enqueue_equal(database, scope)
        await jobs.reaches(first, "running")
        second = await _enqueue_equal(database, scope)
        assert second != first
        assert await _enqueue_equal(database, scope) == second
        await until(lambda: _is_blocked(database))
        assert (await jobs.row(second))["status"] == "queued"
        journal.gate.set()
        row = await jobs.reaches(second, "succeeded")
        before = await jobs.row(first)
        assert before["finished_at"] <= row["started_at"]
        # Set free by the end of the other, long before it would have looked by itself.
        assert row["started_at"] - before["finished_at"] < timedelta(seconds=2)


async def _enqueue_equal(database: Database, scope: TenantScope) -> UUID:
    async with database.unit_of_work(scope) as uow:
        return await enqueue(uow, wait, Note(), dedupe_key="the same")


async def _is_blocked(database: Database) -> bool:
    async with database.operator() as uow:
        return bool(await uow.connection.fetchval("SELECT bool_or(blocked) FROM queue.entries"))


async def test_many_workers_start_each_job_once(
    worker_database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    for of in (scope, other_scope):
        async with worker_database.unit_of_work(of) as uow:
            await enqueue_many(uow, nothing, [Note()] * 300)

    async def claim_all() -> list[UUID]:
        claimer, taken = Claimer(worker_database, new_id()), list[UUID]()
        while True:
            claimed = await claimer.claim(Lane.FAST, 7)
            taken += [claim.job_id for claim in claimed.claims]
            if not claimed.claims and claimed.next_due is None:
                return taken

    by_worker = await asyncio.gather(*(claim_all() for _ in range(4)))
    taken = [job_id for of_one in by_worker for job_id in of_one]
    assert len(taken) == len(set(taken)) == 600
