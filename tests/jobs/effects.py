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
    max_attempts=20,
    backoff=Backoff(timedelta(milliseconds=20), timedelta(milliseconds=200)),
)
async def affect(job: RunningJob, payload: Effect) -> None:
    """Leave one row for each step; a step that was committed before is not done again."""
    for step in range(STEPS):
        async with job.unit_of_work() as uow:
            await uow.connection.execute(
                "INSERT INTO effects VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                payload.name,
                step,
                job.attempt,
            )
        await asyncio.sleep(payload.pause)


async def create_effects(owner_dsn: str) -> None:
    """Create the table, for which no tenant is needed."""
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute(
        "CREATE TABLE effects (name text, step int, attempt int, PRIMARY KEY (name, step));"
        "GRANT SELECT, INSERT ON effects TO muniment_app"
    )
    await connection.close()
