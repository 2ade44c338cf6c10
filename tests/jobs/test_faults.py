"""Workers killed, stopped and starved, servers restarted: each effect exactly once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from muniment.db import Database, TenantScope
from muniment.jobs import enqueue, enqueue_many
from tests.conftest import Clone
from tests.jobs.conftest import Jobs, queue_length
from tests.jobs.effects import STEPS, Effect, affect, create_effects
from tests.jobs.zygote import Zygote
from tests.waiting import until

KILLS = 200
AT_A_TIME = 4
"""Workers that run, and are killed, at the same time."""

LIFE = 0.3
"""Most seconds of life of every other worker, which is killed wherever it is: starting,
connecting, claiming. The others are killed at work."""


@pytest.fixture
async def zygote(clone: Clone) -> AsyncIterator[Zygote]:
    await create_effects(clone.installation.owner_dsn)
    async with Zygote(clone.installation.worker_dsn, clone.installation.operator_dsn) as zygote:
        yield zygote


class Effects:
    """What jobs have left behind, seen by the owner of the database."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection
        self._asking = asyncio.Lock()

    async def count(self) -> int:
        async with self._asking:
            return int(await self._connection.fetchval("SELECT count(*) FROM effects"))

    async def not_once(self) -> list[tuple[str, int, int]]:
        """Steps of finished jobs that were not done, or done more than once."""
        rows = await self._connection.fetch(
            "SELECT job.payload ->> 'name' AS name, nth, count(effects.name) AS times"
            " FROM jobs AS job CROSS JOIN generate_series(0, $1 - 1) AS nth"
            " LEFT JOIN effects ON effects.name = job.payload ->> 'name' AND effects.step = nth"
            " WHERE job.status = 'succeeded' GROUP BY 1, 2 HAVING count(effects.name) <> 1",
            STEPS,
        )
        return [tuple(row) for row in rows]

    async def hurry(self) -> None:
        """Make due what was put off because its workers died again and again."""
        await self._connection.execute(
            "UPDATE queue.entries SET due_at = now() WHERE state = 'delayed';"
            "NOTIFY muniment_jobs, 'convert'"
        )

    async def attempts(self) -> int:
        return int(await self._connection.fetchval("SELECT sum(attempts) FROM jobs"))

    async def workers(self) -> set[UUID]:
        """Who runs jobs now."""
        rows = await self._connection.fetch("SELECT worker_id FROM queue.entries")
        return {row["worker_id"] for row in rows}


@pytest.fixture
async def effects(clone: Clone) -> AsyncIterator[Effects]:
    connection = await asyncpg.connect(clone.installation.owner_dsn)
    yield Effects(connection)
    await connection.close()


async def test_200_kills_lose_and_double_nothing(
    zygote: Zygote, database: Database, scope: TenantScope, jobs: Jobs, effects: Effects
) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    enqueued = 0

    async def some_progress(steps: int) -> None:
        target = await effects.count() + steps
        with suppress(TimeoutError):
            async with asyncio.timeout(3):
                while await effects.count() < target:  # noqa: ASYNC110  # it is in the database
                    await asyncio.sleep(0.002)

    async def kill_one_after_the_other() -> None:
        nonlocal enqueued
        for number in range(KILLS // AT_A_TIME):
            names = [f"{id(asyncio.current_task())} {number} {each}" for each in range(4)]
            async with database.unit_of_work(scope) as uow:
                pauses = [chance.uniform(0, 0.02) for _ in names]
                payloads = [Effect(*each) for each in zip(names, pauses, strict=True)]
                await enqueue_many(uow, affect, payloads)
                enqueued += len(payloads)
            worker = await zygote.start()
            if number % 2:
                await asyncio.sleep(chance.uniform(0, LIFE))
            else:
                await some_progress(chance.randint(1, 8))
                await asyncio.sleep(chance.uniform(0, 0.01))
            assert await zygote.end(worker, signal.SIGKILL) == -signal.SIGKILL

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(kill_one_after_the_other())

    async def all_succeeded() -> bool:
        await effects.hurry()
        return await jobs.count("succeeded") == enqueued

    assert await jobs.count("succeeded") < enqueued, f"seed {seed}: nothing was left to do"
    await zygote.start()
    await until(all_succeeded, 60)
    assert await effects.not_once() == [], f"seed {seed}"
    assert await effects.count() == enqueued * STEPS, f"seed {seed}"
    assert await queue_length(database) == 0
    # The kills met work: attempts were cut short.
    assert await effects.attempts() > enqueued + KILLS / 2, f"seed {seed}"


async def test_a_starved_worker_keeps_its_jobs_and_a_killed_one_loses_them(
    zygote: Zygote, database: Database, scope: TenantScope, jobs: Jobs, effects: Effects
) -> None:
    starved = await zygote.start()
    async with database.unit_of_work(scope) as uow:
        job_ids = await enqueue_many(uow, affect, [Effect(f"{n}", pause=0.3) for n in range(4)])
    await until(lambda: _all_run(jobs, job_ids))
    os.kill(starved, signal.SIGSTOP)
    done = await effects.count()
    others = [await zygote.start() for _ in range(2)]
    await asyncio.sleep(4.0)  # more than two looks of the others, who do nothing in this time
    rows = [await jobs.row(job_id) for job_id in job_ids]
    assert {(row["status"], row["attempts"]) for row in rows} == {("running", 1)}
    assert await effects.count() - done <= 4  # what it had sent before it was stopped
    os.kill(starved, signal.SIGCONT)
    await jobs.all_reach("succeeded", 4)
    assert {(await jobs.row(job_id))["attempts"] for job_id in job_ids} == {1}

    async with database.unit_of_work(scope) as uow:
        job_id = await enqueue(uow, affect, Effect("last", pause=0.5))
    await jobs.reaches(job_id, "running")
    for worker in (starved, *others):
        os.kill(worker, signal.SIGSTOP)
    await zygote.start()
    [holder] = await effects.workers()
    for worker in (starved, *others):
        await zygote.end(worker, signal.SIGKILL)
    row = await jobs.reaches(job_id, "succeeded")
    assert row["attempts"] == 2
    assert row["worker_id"] != holder
    assert await effects.not_once() == []


async def _all_run(jobs: Jobs, job_ids: list[Any]) -> bool:
    return {(await jobs.row(job_id))["status"] for job_id in job_ids} == {"running"}


async def test_sigterm_lets_short_jobs_finish_and_gives_long_ones_back(
    zygote: Zygote, database: Database, scope: TenantScope, jobs: Jobs, effects: Effects
) -> None:
    worker = await zygote.start(grace=1.5)
    async with database.unit_of_work(scope) as uow:
        short = await enqueue(uow, affect, Effect("short", pause=0.2))
        long = await enqueue(uow, affect, Effect("long", pause=30))
    await until(lambda: _all_run(jobs, [short, long]))
    async with database.unit_of_work(scope) as uow:
        more = [Effect(f"waits {n}", pause=30) for n in range(8)]
        await enqueue_many(uow, affect, more)
    assert await zygote.end(worker, signal.SIGTERM, seconds=10) == 0
    rows = {job_id: await jobs.row(job_id) for job_id in (short, long)}
    assert rows[short]["status"] == "succeeded"
    assert (rows[long]["status"], rows[long]["attempts"], rows[long]["error"]) == (
        "queued",
        0,
        None,
    )
    assert await jobs.count("queued") == 9
    assert await effects.not_once() == []


async def test_a_second_sigterm_does_not_wait(
    zygote: Zygote, database: Database, scope: TenantScope, jobs: Jobs
) -> None:
    worker = await zygote.start(grace=600)
    async with database.unit_of_work(scope) as uow:
        job_id = await enqueue(uow, affect, Effect("long", pause=30))
    await jobs.reaches(job_id, "running")
    loop = asyncio.get_running_loop()
    started = loop.time()
    while worker in zygote.alive:
        os.kill(worker, signal.SIGTERM)
        # Signals of one kind that come together are one.
        with suppress(TimeoutError):
            await zygote.end(worker, seconds=0.3)
    assert loop.time() - started < 10
    row = await jobs.row(job_id)
    assert (row["status"], row["attempts"]) == ("queued", 0)
