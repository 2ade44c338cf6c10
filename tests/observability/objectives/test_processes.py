"""Two real processes of the API that are asked, and one of them killed."""

from __future__ import annotations

from pathlib import Path

from muniment.db import Database
from muniment.objective_settings import default_objectives
from muniment.observability.objectives.recorder import series_of
from tests.app.api_processes import Ask, api_processes
from tests.conftest import Clone
from tests.observability.objectives.conftest import rows

REQUESTS = 40


async def test_an_orderly_end_loses_nothing_and_a_kill_only_the_last_seconds(
    clone: Clone, database: Database, data_dir: Path
) -> None:
    objectives = default_objectives()
    async with api_processes(clone.installation, data_dir, redis_url=None) as (killed, stopped):
        for _ in range(REQUESTS):
            await killed.ask(Ask("POST", "/v1/search"))
            await stopped.ask(Ask("GET", "/v1/me"))
        killed.process.kill()
        await killed.process.wait()
    total = {
        name: sum(
            row["total"]
            for row in await rows(database)
            if row["series"] == series_of(name, objectives[name])
        )
        for name in ("search", "reading")
    }
    assert total["reading"] == REQUESTS
    assert total["search"] <= REQUESTS
