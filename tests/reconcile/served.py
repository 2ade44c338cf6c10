"""The API and a worker of the lane `reconcile`, and a reconciliation asked over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx

from muniment.app import Services, create_app
from muniment.components import search_index
from muniment.db import Database, Role, TenantScope
from muniment.documents.blobs import BlobStore
from muniment.jobs import Lane, Worker
from muniment.settings import Settings
from muniment.tenancy.keys.create import create_api_key
from muniment.worker import TASKS, resources
from tests.app.conftest import client_of

ENDED = {"succeeded", "failed", "cancelled"}


@asynccontextmanager
async def api_of(database: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application on a database; it sends no credentials of its own."""
    blobs = BlobStore.in_folder(settings.data_dir / "blobs")
    services = Services(database, b"secret", settings, None, search_index(), blobs)  # type: ignore[arg-type]
    async with client_of(create_app(settings, services)) as client:
        yield client


@asynccontextmanager
async def worker_of(database: Database, settings: Settings) -> AsyncIterator[Worker]:
    """A worker that loads and runs, beside the test."""
    stop = asyncio.Event()
    async with resources(settings, [Lane.RECONCILE]) as available:
        worker = Worker(database, TASKS, available, {Lane.RECONCILE: 1})
        running = asyncio.create_task(worker.run(stop))
        try:
            yield worker
        finally:
            stop.set()
            await running


class Asking:
    """Somebody who asks about one reconciliation."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers
        self.path = "/v1/reconciliations"

    @classmethod
    async def making(
        cls,
        client: httpx.AsyncClient,
        database: Database,
        scope: TenantScope,
        name: str = "Quarter",
        **body: Any,
    ) -> Asking:
        """Make a key and a reconciliation."""
        asking = cls(client, await key(database, scope))
        made = await asking.post("", json={"name": name, **body})
        assert made.status_code == 201, made.text
        asking.path = f"/v1/reconciliations/{made.json()['id']}"
        return asking

    async def get(self, path: str = "", **arguments: Any) -> httpx.Response:
        return await self.client.get(self.path + path, headers=self.headers, **arguments)

    async def post(self, path: str, **arguments: Any) -> httpx.Response:
        return await self.client.post(self.path + path, headers=self.headers, **arguments)

    async def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return await self.client.request(
            method, self.path + path, headers=self.headers, **arguments
        )

    async def upload(self, side: str, text: str | bytes, **form: Any) -> httpx.Response:
        """Give a file, without waiting for its load."""
        name = form.pop("filename", f"{side}.csv")
        return await self.post(
            "/datasets", files={"file": (name, text)}, data={"side": side, **form}
        )

    async def load(self, side: str, text: str | bytes, **form: Any) -> dict[str, Any]:
        """Give a file and return the dataset once it was loaded, or could not be."""
        answer = await self.upload(side, text, **form)
        assert answer.status_code == 202, answer.text
        await self.ended(answer)
        shown = (await self.get(f"/datasets/{side}")).json()
        assert isinstance(shown, dict)
        return shown

    async def run(self, mode: str = "auto") -> dict[str, Any]:
        """Run and return the run once it has ended."""
        answer = await self.post("/runs", json={"mode": mode})
        assert answer.status_code == 202, answer.text
        await self.ended(answer)
        shown = (await self.get(f"/runs/{answer.json()['run']['id']}")).json()
        assert isinstance(shown, dict)
        return shown

    async def ended(self, answer: httpx.Response) -> dict[str, Any]:
        """Wait for the job of an answer and return it."""
        async with asyncio.timeout(60):
            while True:
                job = await self.client.get(answer.headers["location"], headers=self.headers)
                if job.json()["status"] in ENDED:
                    found = job.json()
                    assert isinstance(found, dict)
                    return found
                await asyncio.sleep(0.05)


async def key(database: Database, scope: TenantScope, role: Role = Role.ADMIN) -> dict[str, str]:
    """Make a key of a role."""
    async with database.unit_of_work(scope) as work:
        return {"Authorization": f"Bearer {(await create_api_key(work, 'test', role)).key}"}


async def rows(
    database: Database, scope: TenantScope, query: str, *arguments: Any
) -> list[asyncpg.Record]:
    """Read rows of an organization."""
    async with database.unit_of_work(scope) as work:
        return list(await work.connection.fetch(query, *arguments))
