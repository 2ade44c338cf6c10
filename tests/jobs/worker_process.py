"""A worker in a process of its own, to be killed: ``python -m tests.jobs.worker_process``."""

from __future__ import annotations

import asyncio
import sys

from muniment.db import Database
from muniment.jobs import Lane, Worker
from tests.jobs.effects import affect


async def main(app_dsn: str, operator_dsn: str) -> None:
    async with Database.open(
        app_dsn,
        operator_dsn,
        pool_size=5,
        operator_pool_size=1,
        acquire_timeout=5,
        statement_timeout=30,
    ) as database:
        await Worker(database, [affect], {}, {Lane.CONVERT: 4}).run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
