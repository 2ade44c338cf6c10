"""`GET /v1/doctor`, and `muniment doctor` against a server."""

from __future__ import annotations

import asyncio
import io
import json

import psycopg
import uvicorn
from typer.testing import CliRunner, Result

from muniment.checks import CHECKS
from muniment.cli import app as commands
from muniment.db import Database, Role, TenantScope
from muniment.observability.logging import configure_logging
from muniment.tenancy.operators.keys import create_operator_key
from tests.app.conftest import application, client_of
from tests.conftest import Clone
from tests.tenancy.keys.conftest import bearer, make_key


async def operator_key(database: Database) -> str:
    async with database.operator() as work:
        return await create_operator_key(work, "test")


async def test_an_operator_is_told(database: Database) -> None:
    key = await operator_key(database)
    async with client_of(application(database)) as client:
        client.headers["authorization"] = f"Bearer {key}"
        answer = await client.get("/v1/doctor")
        assert answer.status_code == 200, answer.text
        report = answer.json()
        assert (report["status"], report["findings"]) == ("ok", [])
        assert [check["id"] for check in report["checks"]] == [check.id for check in CHECKS]
        assert all(check["ok"] for check in report["checks"])

        one = await client.get("/v1/doctor", params={"check": "db.clock"})
        assert [check["id"] for check in one.json()["checks"]] == ["db.clock"]
        unknown = await client.get("/v1/doctor", params={"check": "db.nothing"})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_check")

        first, second = await asyncio.gather(client.get("/v1/doctor"), client.get("/v1/doctor"))
        assert first.json() == second.json(), "both are given the report of one examination"


async def test_nobody_else_is(database: Database, scope: TenantScope) -> None:
    owner = await make_key(database, scope, Role.OWNER)
    async with client_of(application(database)) as client:
        answers = [
            await client.get("/v1/doctor"),
            await client.get("/v1/doctor", headers=bearer(owner)),
        ]
    assert [answer.status_code for answer in answers] == [401, 401]


def doctor(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(commands, ["doctor", *arguments], env=environment)


async def test_the_command_asks_a_server(
    database: Database, clone: Clone, unused_tcp_port: int
) -> None:
    # The command prints in this process, where the server's log would come in between.
    configure_logging("json", "info", stream=io.StringIO())
    key = await operator_key(database)
    config = uvicorn.Config(
        application(database),  # type: ignore[arg-type]
        port=unused_tcp_port,
        log_config=None,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    url = f"http://127.0.0.1:{unused_tcp_port}"
    environment = {"MUNIMENT_URL": url, "MUNIMENT_API_KEY": key}
    try:
        while not server.started and not serving.done():
            await asyncio.wait({serving}, timeout=0.01)
        well = await asyncio.to_thread(doctor, environment)
        assert well.exit_code == 0, well.output
        assert "Nothing is wrong" in well.stdout

        with psycopg.connect(clone.installation.owner_dsn, autocommit=True) as connection:
            connection.execute("DROP INDEX jobs_ended")
        bad = await asyncio.to_thread(doctor, environment, "--json")
        assert bad.exit_code == 1
        (finding,) = json.loads(bad.stdout)["findings"]
        assert finding["id"] == "db.missing_indexes"
        assert finding["sql"][0].startswith("CREATE INDEX CONCURRENTLY jobs_ended ")
        refused = await asyncio.to_thread(doctor, environment | {"MUNIMENT_API_KEY": "muo_x"})
        assert refused.exit_code == 1
        assert "operator" in refused.stderr
    finally:
        server.should_exit = True
        await serving
