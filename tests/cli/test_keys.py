"""`muniment keys`, on this machine's database and against a running server."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from typer.testing import CliRunner, Result

from muniment.cli import app
from muniment.db import Database, Role, TenantScope, new_id
from muniment.db.embedded import embedded_server
from muniment.observability.logging import configure_logging
from tests.app.conftest import application
from tests.tenancy.keys.conftest import bearer, make_key


def keys(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments], env=environment)


def answer(environment: dict[str, str], *arguments: str) -> Any:
    result = keys(environment, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def live_through(environment: dict[str, str]) -> None:
    """Make, list, rotate and revoke keys."""
    made = answer(
        environment, "create", "CI", "--role", "editor", "--requests-per-minute", "9",
        "--expires", "2199-01-01",
    )  # fmt: skip
    assert made["key"].startswith(made["prefix"])
    assert (made["name"], made["role"], made["requests_per_minute"]) == ("CI", "editor", 9)
    assert made["expires_at"][:4] in {"2198", "2199"}
    new = answer(environment, "rotate", made["id"], "--overlap", "60")
    assert (new["name"], new["role"]) == ("CI", "editor")
    assert answer(environment, "revoke", made["id"]) == {"revoked": made["id"]}
    listed = {key["id"]: key for key in answer(environment, "list")}
    assert listed[made["id"]]["replaced_by"] == new["id"]
    assert listed[made["id"]]["revoked_at"] is not None
    assert listed[new["id"]]["revoked_at"] is None

    shown = keys(environment, "list").stdout
    assert f"{new['id']}  {new['prefix']}…  editor  never used" in shown
    assert "(revoked 20" in shown
    assert new["key"] not in shown
    bare = keys(environment, "create", "another")
    assert bare.stdout.startswith("mun_")
    assert len(bare.stdout.split()) == 1
    assert "is revoked" in keys(environment, "revoke", new["id"]).stdout

    again = keys(environment, "rotate", made["id"])
    assert (again.exit_code, again.stdout) == (1, "")
    assert "rotated before" in again.stderr
    unknown = keys(environment, "revoke", str(new_id()))
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "no such API key" in unknown.stderr
    assert keys(environment, "revoke", "x").exit_code == 2
    assert keys(environment, "rotate", made["id"], "--overlap", "604801").exit_code == 2


def test_keys_of_this_machine(data_dir: Path) -> None:
    # Held here so that the commands need not start one each.
    with embedded_server(data_dir):
        live_through({"MUNIMENT_DATA_DIR": str(data_dir)})


async def test_keys_of_a_server(
    database: Database, scope: TenantScope, unused_tcp_port: int
) -> None:
    # The commands print in this process, where the server's log would come in between.
    configure_logging("json", "info", stream=io.StringIO())
    owner = await make_key(database, scope, Role.OWNER)
    config = uvicorn.Config(
        application(database),  # type: ignore[arg-type]
        port=unused_tcp_port,
        log_config=None,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    url = f"http://127.0.0.1:{unused_tcp_port}"
    try:
        async with asyncio.timeout(30), httpx.AsyncClient(base_url=url) as client:
            while not server.started and not serving.done():
                await asyncio.wait({serving}, timeout=0.01)
            environment = {"MUNIMENT_URL": url, "MUNIMENT_API_KEY": owner.key}
            await asyncio.to_thread(live_through, environment)
            listed = (await client.get("/v1/api-keys", headers=bearer(owner))).json()["items"]
            assert {key["created_by"] for key in listed} == {"test", f"api_key:{owner.id}"}
            refused = await asyncio.to_thread(
                keys, environment | {"MUNIMENT_API_KEY": "mun_unknown"}, "list"
            )
            assert refused.exit_code == 1
            assert "not known" in refused.stderr
    finally:
        server.should_exit = True
        await serving


@pytest.mark.parametrize("command", ["list", "create", "rotate", "revoke"])
def test_the_commands_explain_themselves(command: str) -> None:
    assert keys({}, command, "--help").exit_code == 0


def test_a_remote_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_URL", "http://127.0.0.1:1")
    monkeypatch.delenv("MUNIMENT_API_KEY", raising=False)
    answer = CliRunner().invoke(app, ["jobs", "list"])
    assert answer.exit_code == 1
    assert "MUNIMENT_API_KEY" in " ".join(answer.output.split())
