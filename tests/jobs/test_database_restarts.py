"""The database crashes and comes back under load: workers reconnect, each effect happens once."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

import asyncpg

from muniment.db import Database, TenantScope
from muniment.db.embedded import _commands
from muniment.db.installation import installation, upgrade
from muniment.jobs import enqueue_many
from muniment.jobs.outcome import DATABASE_TROUBLE
from muniment.settings import Settings
from tests.conftest import make_organization
from tests.jobs.effects import STEPS, Effect, affect, create_effects
from tests.jobs.zygote import Zygote
from tests.waiting import until

CRASHES = 3
WORKERS = 2

Result = TypeVar("Result")


def control(data_dir: Path, *arguments: str) -> None:
    """Run pg_ctl as the user whose server it is."""
    folder = data_dir / "postgres"
    command = [_commands.POSTGRES_BIN_PATH / "pg_ctl", "-w", "-D", folder, *arguments]
    subprocess.run(
        command, check=True, user=folder.owner(), stdout=subprocess.DEVNULL, timeout=60, cwd=folder
    )


async def test_crashes_of_the_database_lose_and_double_nothing(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir)
    with installation(settings) as target:
        upgrade(target)
        await create_effects(target.owner_dsn)
        async with (
            target.open(settings, statement_timeout=10) as database,
            Zygote(target.worker_dsn, target.operator_dsn) as zygote,
        ):
            load = Load(database, await make_organization(database, "Ours"))
            workers = [await zygote.start() for _ in range(WORKERS)]
            enqueuing = asyncio.create_task(load.enqueue_for_ever())
            for _ in range(CRASHES):
                seen = len(await persistently(load.succeeded))
                await until(lambda seen=seen: load.more_than(seen + 10), 60)
                arguments = ("restart", "-m", "immediate", "-l", str(data_dir / "postgres" / "log"))
                await asyncio.to_thread(control, data_dir, *arguments)
            seen = len(await persistently(load.succeeded))
            await until(lambda: load.more_than(seen + 10), 60)
            enqueuing.cancel()
            await asyncio.wait([enqueuing])
            await until(load.idle, 60)
            assert load.accepted <= await load.succeeded()
            assert await load.unlike_once() == []
            assert zygote.alive == set(workers)
        await asyncio.to_thread(control, data_dir, "stop", "-m", "fast")


class Load:
    """Jobs that come all the time, whether or not the database is there."""

    def __init__(self, database: Database, scope: TenantScope) -> None:
        self._database = database
        self._scope = scope
        self.accepted: set[UUID] = set()
        """Jobs whose transaction is known to have committed; others may have as well."""

    async def enqueue_for_ever(self) -> None:
        while True:
            try:
                async with self._database.unit_of_work(self._scope) as uow:
                    effects = [Effect(str(uuid4()), pause=0.01) for _ in range(5)]
                    job_ids = await enqueue_many(uow, affect, effects)
                self.accepted.update(job_ids)
            except DATABASE_TROUBLE:
                pass
            await asyncio.sleep(0.1)

    async def succeeded(self) -> set[UUID]:
        rows = await self._fetch("SELECT job_id FROM jobs WHERE status = 'succeeded'")
        return {row["job_id"] for row in rows}

    async def more_than(self, count: int) -> bool:
        return len(await persistently(self.succeeded)) > count

    async def idle(self) -> bool:
        return await self._fetch("SELECT FROM jobs WHERE status <> 'succeeded'") == []

    async def unlike_once(self) -> list[asyncpg.Record]:
        return await self._fetch(
            "SELECT job.payload ->> 'name', nth, count(effects.name)"
            f" FROM jobs AS job CROSS JOIN generate_series(0, {STEPS - 1}) AS nth"
            " LEFT JOIN effects ON effects.name = job.payload ->> 'name' AND effects.step = nth"
            " GROUP BY 1, 2 HAVING count(effects.name) <> 1"
        )

    async def _fetch(self, query: str) -> list[asyncpg.Record]:
        async with self._database.unit_of_work(self._scope) as uow:
            return list(await uow.connection.fetch(query))


async def persistently(action: Callable[[], Awaitable[Result]]) -> Result:
    async with asyncio.timeout(30):
        while True:
            try:
                return await action()
            except DATABASE_TROUBLE:
                await asyncio.sleep(0.05)
