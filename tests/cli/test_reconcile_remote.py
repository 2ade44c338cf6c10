"""`muniment reconcile` against a running server: the same files, and decisions that hold."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from typer.testing import CliRunner, Result

import muniment
from muniment.app import Services, create_app
from muniment.cli import app
from muniment.components import search_index
from muniment.db import Database, Role, TenantScope
from muniment.documents.blobs import BlobStore
from muniment.observability.logging import configure_logging
from muniment.settings import Settings
from muniment.tenancy.keys.create import create_api_key
from tests.reconcile.served import worker_of
from tests.waiting import until

SAMPLE = Path(muniment.__file__).parent / "sample" / "reconcile"
THREE = (SAMPLE / "bank.csv", SAMPLE / "invoices.csv", "--evidence", SAMPLE / "remittance.csv")


@dataclass
class Shell:
    """A shell in a folder of its own, from which a server can be reached."""

    url: str
    key: str

    async def run(self, *arguments: str | Path, **environment: str) -> Result:
        known = {
            "MUNIMENT_URL": self.url,
            "MUNIMENT_API_KEY": self.key,
        } | environment
        command: Callable[..., Result] = CliRunner().invoke
        told = ["reconcile", *map(str, arguments)]
        # The command waits for the server, which runs in this loop.
        return await asyncio.to_thread(command, app, told, env=known)

    async def answer(self, *arguments: str | Path, **environment: str) -> Any:
        result = await self.run(*arguments, "--json", **environment)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    async def post(self, path: str, body: object) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url) as client:
            headers = {"Authorization": f"Bearer {self.key}"}
            return await client.post(path, json=body, headers=headers)


@pytest.fixture
async def shell(
    database: Database,
    worker_database: Database,
    scope: TenantScope,
    tmp_path: Path,
    unused_tcp_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Shell]:
    # The command prints in this process, where the server's log would come in between.
    configure_logging("json", "info", stream=io.StringIO())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("MUNIMENT_URL", raising=False)
    settings = Settings(data_dir=tmp_path, reconcile_memory_mb=1024)
    blobs = BlobStore.in_folder(tmp_path / "blobs")
    services = Services(database, b"secret", settings, None, search_index(), blobs)  # type: ignore[arg-type]
    config = uvicorn.Config(
        create_app(settings, services),  # type: ignore[arg-type]
        port=unused_tcp_port,
        log_config=None,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    async with database.unit_of_work(scope) as work:
        key = (await create_api_key(work, "test", Role.ADMIN)).key
    try:
        await until(lambda: server.started or serving.done())
        async with worker_of(worker_database, settings):
            yield Shell(f"http://127.0.0.1:{unused_tcp_port}", key)
    finally:
        server.should_exit = True
        await serving


def text(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def pairs(name: str, status: str = "matched") -> dict[tuple[str, str], str]:
    with Path(name).open(encoding="utf-8", newline="") as file:
        found = [row for row in csv.DictReader(file) if row["status"] == status]
    return {(row["left_id"], row["right_id"]): row["amount"] for row in found}


async def test_a_server_gives_what_this_machine_gives_and_keeps_decisions(shell: Shell) -> None:
    # In a process of its own: where it logs to is not where the server of this one does.
    local = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "muniment", "reconcile", *THREE, "--out", "local.csv", "--quiet"
    )
    assert await local.wait() == 0
    told = await shell.answer(*THREE, "--out", "remote.csv", "--name", "March")
    assert pairs("remote.csv") == pairs("local.csv")
    assert text("remote.csv").splitlines()[0] == text("local.csv").splitlines()[0]
    assert told["matched"] == len(pairs("remote.csv"))
    assert told["left"]["identifier"] == "booking"
    assert (told["kind"], told["right"]["rows"]) == ("ledger", 18)
    assert "B-306" in text("remote-unmatched.csv")

    here = f"/v1/reconciliations/{told['reconciliation_id']}"
    wanted = {"filter": {"status": "matched", "stage": "tolerance"}, "action": "reject"}
    decided = await shell.post(f"{here}/decisions", wanted)
    assert decided.status_code == 200, decided.text
    again = await shell.answer(*THREE, "--out", "again.csv", "--name", "March")
    assert again["reconciliation_id"] == told["reconciliation_id"]
    left = pairs("local.csv").keys() - pairs("again.csv").keys()
    assert len(left) == decided.json()["decided"] > 0

    plan = await shell.answer(*THREE, "--plan", "--name", "March")
    assert plan["possible_pairs"] == 14 * 18

    shown = await shell.run(SAMPLE / "members.csv")
    assert shown.exit_code == 0, shown.output
    assert "members: duplicates in one table" in shown.stdout
    assert ("5", "11") in pairs("matches.csv") or ("11", "5") in pairs("matches.csv")


async def test_what_a_server_refuses_is_one_sentence(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "here" / "ragged.csv").write_text("id,name\n1,Ada\n2\n")
    ragged = await shell.run("ragged.csv", SAMPLE / "invoices.csv")
    assert ragged.exit_code == 1
    assert ragged.stderr.startswith("Error: ragged.csv: Row 2 (line 3) has 1 cells")
    strange = await shell.run(*THREE, MUNIMENT_API_KEY="mun_wrong")
    nowhere = await shell.run(*THREE, MUNIMENT_URL="http://127.0.0.1:9")
    for failed in (ragged, strange, nowhere):
        assert failed.exit_code == 1
        assert len(failed.stderr.strip().splitlines()) == 1
        assert failed.stdout == ""
    assert os.listdir(tmp_path / "here") == ["ragged.csv"]
