"""Lists read from a streaming replica, never behind what their reader was told."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from muniment.app import create_app
from muniment.db import Database, Role, TenantScope
from muniment.db.installation import Installation, installation, upgrade
from muniment.db.replica import Replica
from muniment.settings import Settings
from muniment.tenancy.keys.create import create_api_key
from tests.app.conftest import application, client_of
from tests.conftest import Clone, make_organization
from tests.replica_server import ReplicaServer, running_replica
from tests.waiting import until

MAX_LAG = 1.5


@dataclass
class Pair:
    primary: Installation
    replica: ReplicaServer


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="muniment-test-") as name:
        settings = Settings(data_dir=Path(name))
        with installation(settings) as target:
            upgrade(target)
            with running_replica(target.owner_dsn, Path(name, "replica")) as replica:
                yield Pair(target, replica)


@dataclass
class Api:
    """A process of the API that reads from the replica."""

    database: Database
    client: httpx.AsyncClient
    scope: TenantScope

    @property
    def replica(self) -> Replica:
        assert self.database.replica is not None
        return self.database.replica

    async def reads_there(self) -> None:
        """Wait until this organization is served by the replica."""

        async def served() -> bool:
            before = self.replica.outcomes["replica"]
            await self.names()
            return self.replica.outcomes["replica"] > before

        await until(served)

    async def names(self) -> list[str]:
        answer = await self.client.get("/v1/api-keys")
        assert answer.status_code == 200, answer.text
        return [item["name"] for item in answer.json()["items"]]

    async def make(self, name: str) -> None:
        answer = await self.client.post("/v1/api-keys", json={"name": name, "role": "viewer"})
        assert answer.status_code == 201, answer.text


@pytest.fixture
async def apis(pair: Pair) -> AsyncIterator[list[Api]]:
    """Two of them, with clients of one organization."""
    async with AsyncExitStack() as stack:
        made: list[Api] = []
        for _ in range(2):
            opened = Clone(pair.primary).open(
                replica_dsn=pair.replica.as_role("muniment_app"), replica_max_lag=MAX_LAG
            )
            database: Database = await stack.enter_async_context(opened)  # type: ignore[arg-type]
            client = await stack.enter_async_context(client_of(application(database)))
            scope = made[0].scope if made else await make_organization(database, "Ours")
            made.append(Api(database, client, scope))
        async with made[0].database.unit_of_work(made[0].scope) as work:
            key = (await create_api_key(work, "first", Role.OWNER)).key
        for api in made:
            api.client.headers["authorization"] = f"Bearer {key}"
            await api.reads_there()
        yield made


async def test_every_list_that_says_so_reads_from_the_replica(apis: list[Api]) -> None:
    api = apis[0]
    paths = {
        route.path
        for route in create_app(Settings()).routes
        for handler in getattr(route, "route_handlers", ())
        if handler.opt.get("reads") == "replica"
    }
    assert {"/v1/documents", "/v1/jobs", "/v1/api-keys"} <= paths
    for path in paths:
        before = api.replica.outcomes["replica"]
        # What names a thing names one that is not there, which the replica has to find out too.
        unknown = re.sub(r"\{\w+:uuid\}", "00000000-0000-7000-8000-000000000000", path)
        answer = await api.client.get(unknown)
        assert answer.status_code == (200 if unknown == path else 404), (path, answer.text)
        assert api.replica.outcomes["replica"] == before + 1, path
    answer = await api.client.get("/v1/api-keys", headers={"cache-control": "no-cache"})
    assert answer.status_code == 200
    assert api.replica.outcomes["replica"] == before + 1
    figures = (await api.client.get("/metrics")).text
    assert 'pool="replica"' in figures
    assert 'muniment_db_replica_reads_total{outcome="replica"' in figures


async def test_who_wrote_reads_what_was_written_in_every_process(apis: list[Api]) -> None:
    writer, reader = apis
    before = [api.replica.outcomes["replica"] for api in apis]
    for number in range(50):
        name = f"key {number}"
        await writer.make(name)
        assert (await writer.names())[0] == name
        assert (await reader.names())[0] == name
    for api, count in zip(apis, before, strict=True):
        await api.reads_there()
        assert (await api.names())[0] == name
        assert api.replica.outcomes["replica"] > count


async def test_a_replica_that_lags_is_left_until_it_has_caught_up(
    apis: list[Api], pair: Pair
) -> None:
    writer, reader = apis
    pair.replica.run("SELECT pg_wal_replay_pause()")
    try:
        await writer.make("while paused")
        # The writer's organization waits for its write, however small the lag may be ...
        for api in apis:
            assert (await api.names())[0] == "while paused"
        # ... and when the lag is too large so does everybody.
        await until(lambda: writer.replica.lag > MAX_LAG and reader.replica.lag > MAX_LAG)
        assert (await reader.names())[0] == "while paused"
        assert reader.replica.outcomes["behind"] > 0
    finally:
        pair.replica.run("SELECT pg_wal_replay_resume()")
    for api in apis:
        await api.reads_there()
        assert (await api.names())[0] == "while paused"


async def test_a_replica_that_stops_under_load_costs_no_request(
    apis: list[Api], pair: Pair
) -> None:
    stop = asyncio.Event()
    asked = 0

    async def read(api: Api) -> None:
        nonlocal asked
        while not stop.is_set():
            assert (await api.names())[-1] == "first"  # 200, see there
            asked += 1

    async with asyncio.TaskGroup() as group:
        for api in apis:
            for _ in range(4):
                group.create_task(read(api))
        for _ in range(2):
            begun = asked
            await until(lambda: asked > begun + 50)  # noqa: B023
            await asyncio.to_thread(pair.replica.stop)
            begun = asked
            await until(lambda: asked > begun + 50)  # noqa: B023
            failed = [api.replica.outcomes["failed"] for api in apis]
            assert sum(failed) > 0
            await asyncio.to_thread(pair.replica.start)
            for api in apis:
                await api.reads_there()
        stop.set()


async def test_a_statement_that_replay_cancels_runs_on_the_primary(
    apis: list[Api], pair: Pair
) -> None:
    database = apis[0].database
    failed = apis[0].replica.outcomes["failed"]
    async with database.unit_of_work(apis[0].scope, replica=True) as work:
        assert await work.connection.fetchval("SELECT pg_is_in_recovery()")
        with pytest.raises(Exception, match="read-only"):
            await work.connection.execute("CREATE TABLE things ()")
    async with database.unit_of_work(apis[0].scope, replica=True) as work:
        pid = await work.connection.fetchval("SELECT pg_backend_pid()")
        pair.replica.run(f"SELECT pg_terminate_backend({pid})")
        assert not await work.connection.fetchval("SELECT pg_is_in_recovery()")
        assert await work.connection.fetchval("SELECT count(*) FROM organizations") == 1
    assert apis[0].replica.outcomes["failed"] == failed + 1


async def test_a_server_that_is_no_replica_is_not_read(pair: Pair) -> None:
    opened = Clone(pair.primary).open(replica_dsn=pair.primary.app_dsn)
    async with opened as database:  # type: ignore[attr-defined]
        scope = await make_organization(database, "Ours")
        for _ in range(3):
            async with database.unit_of_work(scope, replica=True) as work:
                assert await work.connection.fetchval("SELECT count(*) FROM organizations") == 1
        assert database.replica.outcomes == {"behind": 3}
