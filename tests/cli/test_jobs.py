"""`muniment jobs`, on this machine's database and against a running server."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from muniment.cli import app
from muniment.cli.jobs_figures import _sparkline
from muniment.db import Database, Role, TenantScope, new_id
from muniment.jobs import enqueue
from muniment.observability.logging import configure_logging
from muniment.tenancy.operators.keys import create_operator_key
from tests.app.conftest import application
from tests.conftest import Clone
from tests.jobs.kinds import Note, nothing
from tests.jobs.test_cancel import cancelled
from tests.tenancy.keys.conftest import make_key
from tests.waiting import until


@dataclass
class Shell:
    """Where the commands talk to, as a member and as the operator."""

    environment: dict[str, str]
    operator: dict[str, str]

    def run(self, *arguments: str, operator: bool = False) -> Result:
        environment = self.operator if operator else self.environment
        return CliRunner().invoke(app, ["jobs", *arguments], env=environment)

    def answer(self, *arguments: str, operator: bool = False) -> Any:
        result = self.run(*arguments, "--json", operator=operator)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@asynccontextmanager
async def local(clone: Clone, folder: Path) -> AsyncIterator[Shell]:
    target = clone.installation
    environment = {
        "MUNIMENT_DATABASE_URL": target.owner_dsn,
        "MUNIMENT_APP_DATABASE_URL": target.app_dsn,
        "MUNIMENT_OPERATOR_DATABASE_URL": target.operator_dsn,
        "MUNIMENT_DATA_DIR": str(folder),
    }
    yield Shell(environment, environment)


@asynccontextmanager
async def remote(database: Database, scope: TenantScope, port: int) -> AsyncIterator[Shell]:
    # The commands print in this process, where the server's log would come in between.
    configure_logging("json", "info", stream=io.StringIO())
    owner = await make_key(database, scope, Role.OWNER)
    async with database.operator() as work:
        operator = await create_operator_key(work, "test")
    config = uvicorn.Config(
        application(database),  # type: ignore[arg-type]
        port=port,
        log_config=None,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    url = {"MUNIMENT_URL": f"http://127.0.0.1:{port}"}
    try:
        await until(lambda: server.started or serving.done())
        yield Shell(url | {"MUNIMENT_API_KEY": owner.key}, url | {"MUNIMENT_API_KEY": operator})
    finally:
        server.should_exit = True
        await serving


@pytest.fixture(params=["local", "remote"])
async def shell(
    request: pytest.FixtureRequest,
    clone: Clone,
    database: Database,
    scope: TenantScope,
    tmp_path: Path,
    unused_tcp_port: int,
) -> AsyncIterator[Shell]:
    opened = (
        local(clone, tmp_path)
        if request.param == "local"
        else remote(database, scope, unused_tcp_port)
    )
    async with opened as shell:
        yield shell


async def jobs_of(database: Database, scope: TenantScope, number: int) -> list[UUID]:
    async with database.unit_of_work(scope) as work:
        return [await enqueue(work, nothing, Note()) for _ in range(number)]


async def test_jobs_are_shown_cancelled_and_retried(
    shell: Shell, database: Database, scope: TenantScope
) -> None:
    ids = [str(job_id) for job_id in await jobs_of(database, scope, 3)]

    def live_through() -> None:
        assert [job["id"] for job in shell.answer("list")] == ids[::-1]
        assert shell.answer("list", "--since", "1h", "--limit", "1")[0]["id"] == ids[2]
        assert shell.answer("list", "--kind", "no.such") == []
        assert shell.answer("list", "--parent", ids[0]) == []
        assert f"{ids[0]}  20" in shell.run("list").stdout
        assert shell.answer("show", ids[0])["status"] == "queued"
        assert "status     queued" in shell.run("show", ids[0]).stdout

        done = shell.answer("cancel", ids[0], ids[1])
        assert [job["status"] for job in done["jobs"]] == ["cancelled"] * 2
        assert shell.run("cancel", ids[0]).exit_code == 0
        again = shell.answer("retry", ids[0])
        assert [job["status"] for job in again["jobs"]] == ["queued"]
        refused = shell.run("retry", ids[0], ids[1])
        assert refused.exit_code == 1
        assert "this one is queued" in refused.stderr
        assert f"{ids[1]}  tests.nothing" in refused.stdout

        unknown = shell.run("show", str(new_id()))
        assert (unknown.exit_code, unknown.stdout) == (1, "")
        assert "no such job" in unknown.stderr
        assert shell.run("show", "x").exit_code == 2
        wrong = shell.run("list", "--since", "yesterday")
        assert (wrong.exit_code, wrong.stdout) == (1, "")
        assert "15m, 24h or 7d" in wrong.stderr

    await asyncio.to_thread(live_through)


async def test_all_that_failed_are_retried_when_that_is_confirmed(
    shell: Shell, database: Database, scope: TenantScope
) -> None:
    for job_id in await jobs_of(database, scope, 3):
        await cancelled(database, scope, job_id)
    async with database.operator() as work:
        await work.connection.execute(
            """UPDATE jobs SET status = 'failed', error = '{"code": "c", "detail": "d"}'"""
        )

    def live_through() -> None:
        assert shell.run("retry").exit_code == 2
        asked = shell.run("retry", "--failed")
        assert "Retry 3 failed jobs?" in asked.stderr
        assert asked.exit_code == 1
        assert shell.answer("retry", "--failed", "--kind", "no.such", "--yes")["jobs"] == []
        assert len(shell.answer("retry", "--failed", "--since", "1h", "--yes")["jobs"]) == 3
        assert {job["status"] for job in shell.answer("list")} == {"queued"}

    await asyncio.to_thread(live_through)


async def test_a_job_is_watched_to_its_end(
    shell: Shell, database: Database, scope: TenantScope
) -> None:
    (job_id,) = await jobs_of(database, scope, 1)
    watching = asyncio.create_task(asyncio.to_thread(shell.run, "watch", str(job_id), "--json"))

    async def watched() -> bool:
        async with database.system() as work:
            return bool(await work.connection.fetchval("SELECT count(*) FROM queue.watched"))

    await until(watched)
    await cancelled(database, scope, job_id)
    result = await watching
    assert result.exit_code == 1
    states = [json.loads(line)["status"] for line in result.stdout.splitlines()]
    assert states[-1] == "cancelled"
    shown = await asyncio.to_thread(shell.run, "watch", str(job_id))
    assert f"The job {job_id} has been cancelled." in shown.stderr


async def test_figures_and_lanes(shell: Shell, database: Database, scope: TenantScope) -> None:
    job_id, _ = await jobs_of(database, scope, 2)
    await cancelled(database, scope, job_id)

    def live_through() -> None:
        figures = shell.answer("stats", "--window", "1h")
        assert (figures["overall"]["cancelled"], figures["overall"]["queued"]) == (1, 1)
        assert "tests.nothing" in shell.run("stats").stdout
        series = shell.answer("timeseries", "--window", "2h", "--bucket", "1h")
        assert sum(bucket["enqueued"] for bucket in series["buckets"]) == 2
        assert "enqueued" in shell.run("timeseries", "--lane", "fast").stdout
        assert shell.run("timeseries", "--bucket", "2m", "--window", "90d").exit_code == 1

        lanes = {lane["lane"]: lane for lane in shell.answer("lanes", operator=True)}
        assert (lanes["fast"]["waiting"], lanes["fast"]["workers"]) == (1, 0)
        for _ in range(2):
            paused = shell.answer("pause", "fast", operator=True)
            assert paused["paused_by"].startswith("operator:")
        assert "fast" in shell.run("lanes", operator=True).stdout
        for _ in range(2):
            assert shell.answer("resume", "fast", operator=True)["paused_at"] is None
        assert shell.run("pause", "no-lane", operator=True).exit_code == 2

    await asyncio.to_thread(live_through)


def test_a_sparkline_shows_zero_and_nothing_apart() -> None:
    assert _sparkline([0, 1, None, 8]) == "▁▂ █"
    assert _sparkline([0, None]) == "▁ "
