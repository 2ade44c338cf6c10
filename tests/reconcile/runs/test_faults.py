"""What can go wrong while a run is under way, and what must not be lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import httpx
import psutil
import pytest

from muniment.db import Database, TenantScope
from muniment.settings import Settings
from tests.observability.worker_processes import worker_process
from tests.reconcile.people import many, text
from tests.reconcile.served import Asking, api_of, rows, worker_of
from tests.waiting import until

MATCHES = "SELECT * FROM matches ORDER BY match_id"


async def loaded(asking: Asking) -> None:
    left, right = many(80)
    await asking.load("left", text(left))
    assert (await asking.load("right", text(right)))["status"] == "ready"


@asynccontextmanager
async def held() -> AsyncIterator[None]:
    """Stop the process of a run as it starts, so that what happens meanwhile does."""
    await until(processes_of_runs)
    comparing = processes_of_runs()
    for process in comparing:
        process.suspend()
    try:
        yield
    finally:
        for process in comparing:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def processes_of_runs() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if any("function_process" in word for word in process.cmdline()):
                found.append(process)
    return found


async def write(database: Database, scope: TenantScope, query: str, *arguments: Any) -> None:
    async with database.unit_of_work(scope) as work:
        await work.connection.execute(query, *arguments)


@pytest.mark.usefixtures("worker")
async def test_a_cancelled_run_leaves_nothing_and_can_be_repeated(
    asking: Asking, database: Database, scope: TenantScope
) -> None:
    await loaded(asking)
    answer = await asking.post("/runs", json={})
    path = f"{answer.headers['location']}/cancel"
    async with held():
        assert (await asking.client.post(path, headers=asking.headers)).status_code == 202
        job = await asking.ended(answer)
    assert job["status"] == "cancelled"
    assert await rows(database, scope, MATCHES) == []
    shown = (await asking.get("")).json()["last_run"]
    assert shown["status"] == "cancelled"
    assert (await asking.run())["status"] == "succeeded"

    # And once more: nothing has changed, so nothing changes.
    before = [
        (row["match_id"], row["version"], row["found"])
        for row in await rows(database, scope, MATCHES)
    ]
    clusters = await rows(database, scope, "SELECT record_id, cluster_id FROM records ORDER BY 1")
    again = await asking.run("full")
    assert {again["counts"][name] for name in ("added", "changed", "removed")} == {0}
    assert before == [
        (row["match_id"], row["version"], row["found"])
        for row in await rows(database, scope, MATCHES)
    ]
    after = await rows(database, scope, "SELECT record_id, cluster_id FROM records ORDER BY 1")
    assert after == clusters


@pytest.mark.usefixtures("worker")
async def test_what_happens_meanwhile_is_not_overwritten(
    asking: Asking, database: Database, scope: TenantScope
) -> None:
    await loaded(asking)
    await asking.run()
    matched = [row for row in await rows(database, scope, MATCHES) if row["found"] == "matched"]
    first, second = matched[:2]
    answer = await asking.post("/runs", json={"mode": "full"})
    async with held():
        # As the review does it, but for its lock: the merge comes after in any case.
        await write(
            database,
            scope,
            "UPDATE matches SET decision = 'rejected', decided_by = 'us', version = version + 1"
            " WHERE match_id = $1",
            first["match_id"],
        )
        await write(database, scope, "DELETE FROM matches WHERE match_id = $1", second["match_id"])
    assert (await asking.ended(answer))["status"] == "succeeded"
    found = {row["match_id"]: row for row in await rows(database, scope, MATCHES)}
    assert found[first["match_id"]]["status"] == "rejected"
    assert found[first["match_id"]]["found"] == first["found"]
    assert second["match_id"] in found
    parted = await rows(
        database,
        scope,
        "SELECT DISTINCT cluster_id FROM records WHERE record_id IN ($1, $2)",
        first["left_record_id"],
        first["right_record_id"],
    )
    assert len(parted) == 2

    answer = await asking.post("/runs", json={"mode": "full"})
    async with held():
        again = "UPDATE datasets SET version = version + 1 WHERE side = 'right'"
        await write(database, scope, again)
    job = await asking.ended(answer)
    assert (job["status"], job["error"]["code"]) == ("failed", "dataset_changed")
    run = (await asking.get(f"/runs/{answer.json()['run']['id']}")).json()
    assert (run["status"], run["error"]["code"]) == ("failed", "dataset_changed")
    kept = {row["match_id"]: row["run_id"] for row in await rows(database, scope, MATCHES)}
    assert kept == {one: row["run_id"] for one, row in found.items()}


async def test_a_run_that_takes_too_much_memory_says_so(
    database: Database, worker_database: Database, scope: TenantScope, settings: Settings
) -> None:
    async with api_of(database, settings) as api:
        asking = await Asking.making(api, database, scope)
        async with worker_of(worker_database, settings):
            await loaded(asking)
        tight = settings.model_copy(update={"reconcile_memory_mb": 40})
        async with worker_of(worker_database, tight):
            run = await asking.run()
            assert (run["status"], run["error"]["code"]) == ("failed", "out_of_memory")
            assert "MUNIMENT_RECONCILE_MEMORY_MB" in run["error"]["detail"]
            assert await rows(database, scope, MATCHES) == []
            dataset = await asking.load("left", text(many(80)[0]))
            assert (dataset["status"], dataset["error"]["code"]) == ("failed", "out_of_memory")
            assert dataset["row_count"] == 80


async def test_a_worker_killed_in_a_run_loses_and_doubles_nothing(
    clone: Any,
    api: httpx.AsyncClient,
    database: Database,
    scope: TenantScope,
    settings: Settings,
) -> None:
    """Its run is another worker's, from the beginning; what it had begun is gone with it."""
    asking = await Asking.making(api, database, scope)
    worker = partial(
        worker_process, clone.installation, settings.data_dir, "reconcile", worker_port="0"
    )
    async with worker() as first:
        await loaded(asking)
        answer = await asking.post("/runs", json={})
        async with held():
            comparing = processes_of_runs()
            first.kill()
            await first.wait()
        await until(lambda: not any(process.is_running() for process in comparing))
    assert await rows(database, scope, MATCHES) == []
    async with worker():
        job = await asking.ended(answer)
        assert (job["status"], job["attempts"]) == ("succeeded", 2)
        found = await rows(database, scope, MATCHES)
        assert len({(row["left_identifier"], row["right_identifier"]) for row in found}) == len(
            found
        )
        again = await asking.run("full")
    assert again["status"] == "succeeded"
    assert {again["counts"][name] for name in ("added", "changed", "removed")} == {0}
    assert {row["match_id"] for row in found} == {
        row["match_id"] for row in await rows(database, scope, MATCHES)
    }
