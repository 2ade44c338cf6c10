"""Jobs whose effect can be seen in a table, here and in worker processes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import msgspec

from muniment.jobs import Backoff, Lane, RunningJob, task

STEPS = 4


class Effect(msgspec.Struct):
    name: str
    pause: float = 0.0


@task(
    kind="tests.affect",
    lane=Lane.CONVERT,
    max_attempts=10_000,
    backoff=Backoff(timedelta(milliseconds=20), timedelta(milliseconds=200)),
)
async def affect(job: RunningJob, payload: Effect) -> None:
    """Leave one row for each step; a step that was committed before is not done again.

    Nothing but the job's unit of work keeps two workers from doing a step at the same time.
    """
    for step in range(STEPS):
        async with job.unit_of_work() as uow:
            done = await uow.connection.fetchval(
                "SELECT count(*) FROM effects WHERE name = $1 AND step = $2", payload.name, step
            )
            await asyncio.sleep(payload.pause / 2)
            if not done:
                await uow.connection.execute(
                    "INSERT INTO effects VALUES ($1, $2, $3)", payload.name, step, job.attempt
                )
        await asyncio.sleep(payload.pause / 2)


async def create_effects(owner_dsn: str) -> None:
    """Create the table, for which no tenant is needed."""
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute(
        # No key: what is done twice shall be seen.
        "CREATE TABLE effects (name text, step int, attempt int);"
        "CREATE INDEX ON effects (name, step);"
        "GRANT SELECT, INSERT ON effects TO muniment_app"
    )
    await connection.close()
