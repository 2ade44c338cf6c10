"""API and worker through a real PgBouncer in transaction pooling, on two server connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from muniment.app import Services, create_app
from muniment.db import Database, Role, TenantScope
from muniment.jobs import Worker, enqueue_many, live_workers
from muniment.settings import Settings
from muniment.tenancy.keys.create import create_api_key
from tests.app.conftest import client_of
from tests.conftest import Clone, make_organization
from tests.jobs.conftest import LANES, Jobs
from tests.jobs.kinds import ALL, Journal, Note, wait, write
from tests.pgbouncer_server import PgBouncer, require_pgbouncer, running_pgbouncer
from tests.search.library import INDEX, add_document, new_library

POOL_SIZE = 2
AT_A_TIME = 12


@pytest.fixture(params=[False, True], ids=["unprepared", "prepared"])
def bouncer(request: pytest.FixtureRequest, clone: Clone) -> Iterator[PgBouncer]:
    if request.param and (version := require_pgbouncer().version()) < (1, 21):
        pytest.skip(f"PgBouncer {version} cannot keep prepared statements; 1.21 can")
    prepared = 200 if request.param else 0
    dsn = clone.installation.app_dsn
    with running_pgbouncer(dsn, pool_size=POOL_SIZE, prepared=prepared) as bouncer:
        yield bouncer


@dataclass
class Behind:
    """The parts of an installation that are behind PgBouncer."""

    database: Database
    worker_database: Database
    bouncer: PgBouncer


@pytest.fixture
async def behind(
    bouncer: PgBouncer, clone: Clone, request: pytest.FixtureRequest
) -> AsyncIterator[Behind]:
    target = clone.installation
    prepared = "unprepared" not in request.node.name
    async with AsyncExitStack() as stack:
        opened: list[Database] = []
        for role in (target.app_dsn, target.worker_dsn):
            context = Database.open(
                bouncer.address(role),
                bouncer.address(target.operator_dsn),
                listen_dsn=target.app_dsn,
                prepared_statements=prepared,
                pool_size=AT_A_TIME,
                operator_pool_size=2,
                acquire_timeout=5.0,
                statement_timeout=10.0,
            )
            opened.append(await stack.enter_async_context(context))
        yield Behind(*opened, bouncer)


@dataclass
class Tenant:
    scope: TenantScope
    client: httpx.AsyncClient
    jobs: Jobs


@pytest.fixture
async def tenants(behind: Behind) -> AsyncIterator[list[Tenant]]:
    """Two organizations, each with a key and one document that says whose it is."""
    settings = Settings(data_dir=Path("/nonexistent"), rate_limits=False)
    services = Services(behind.database, b"test secret", settings, None, INDEX, None)  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        made = []
        for name in ("Ours", "Theirs"):
            client = await stack.enter_async_context(client_of(create_app(settings, services)))
            scope = await make_organization(behind.database, name)
            async with behind.database.unit_of_work(scope) as work:
                key = (await create_api_key(work, "test", Role.OWNER)).key
                await add_document(work, await new_library(work), [f"archive of {name}"])
            client.headers["authorization"] = f"Bearer {key}"
            made.append(Tenant(scope, client, Jobs(behind.database, scope)))
        yield made


async def test_jobs_searches_and_lists_of_two_organizations_work(
    behind: Behind, tenants: list[Tenant]
) -> None:
    journal = Journal()
    worker = Worker(behind.worker_database, ALL, {Journal: journal}, LANES)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    try:
        await asyncio.gather(*(_enqueue(behind.database, tenant, 40) for tenant in tenants))
        for tenant in tenants:
            await tenant.jobs.all_reach("succeeded", 40)
        await asyncio.gather(*(_searches_and_lists(tenant) for tenant in tenants for _ in range(6)))
        assert await live_workers(behind.database) == 1
        for tenant in tenants:
            await _cancels(behind.database, tenant, journal)
    finally:
        stop.set()
        journal.gate.set()
        await running
    written = [entry for entry in journal.entries if entry[0] == "write"]
    assert sorted(text for _, text, _ in written) == sorted(
        f"{tenant.scope.org_id} {number}" for tenant in tenants for number in range(40)
    )
    servers = behind.bouncer.console("SHOW SERVERS")
    assert 0 < len([row for row in servers if "muniment_app" in row]) <= POOL_SIZE


async def test_transactions_that_share_a_connection_share_nothing_else(
    behind: Behind, tenants: list[Tenant]
) -> None:
    sessions = set()

    async def look(tenant: Tenant) -> None:
        async with behind.database.unit_of_work(tenant.scope) as work:
            fetchval = work.connection.fetchval
            sessions.add(await fetchval("SELECT pg_backend_pid()"))
            assert await fetchval("SELECT count(*) FROM organizations") == 1
            assert await fetchval("SELECT org_id FROM documents") == tenant.scope.org_id
        async with behind.database.single_statement() as work:
            # Nothing of the transaction is left for whoever has its connection next.
            assert await work.connection.fetchval("SELECT count(*) FROM documents") == 0
            told = await work.connection.fetchval("SELECT current_setting('muniment.org_id', true)")
            assert not told

    for _ in range(5):
        await asyncio.gather(*(look(tenant) for tenant in tenants * AT_A_TIME))
    assert len(sessions) <= POOL_SIZE


async def test_a_pooler_that_connects_anew_costs_no_request(
    behind: Behind, tenants: list[Tenant]
) -> None:
    client = tenants[0].client
    for _ in range(3):
        answers = await asyncio.gather(*(client.get("/v1/jobs") for _ in range(AT_A_TIME)))
        assert {answer.status_code for answer in answers} == {200}
        # Its connections to the server end as soon as nobody is in a transaction on them.
        behind.bouncer.console("RECONNECT")


async def _enqueue(database: Database, tenant: Tenant, count: int) -> list[UUID]:
    async with database.unit_of_work(tenant.scope) as work:
        notes = [Note(f"{tenant.scope.org_id} {number}") for number in range(count)]
        return await enqueue_many(work, write, notes)


async def _searches_and_lists(tenant: Tenant) -> None:
    body = {"query": "archive", "mode": "lexical"}
    found = await tenant.client.post("/v1/search", json=body)
    assert found.status_code == 200, found.text
    listed = await tenant.client.get("/v1/jobs?limit=100")
    assert listed.status_code == 200, listed.text
    assert len(listed.json()["items"]) == 40
    documents = (await tenant.client.get("/v1/documents")).json()["items"]
    assert len(documents) == 1
    results = found.json()["results"]
    assert {result["document_id"] for result in results} == {documents[0]["id"]}


async def _cancels(database: Database, tenant: Tenant, journal: Journal) -> None:
    """Cancel a job that runs; the worker hears of it over its connection to the server itself."""
    async with database.unit_of_work(tenant.scope) as work:
        job_id = (await enqueue_many(work, wait, [Note("to be cancelled")]))[0]
    await tenant.jobs.reaches(job_id, "running")
    answer = await tenant.client.post(f"/v1/jobs/{job_id}/cancel")
    assert answer.status_code in {200, 202}, answer.text
    await tenant.jobs.reaches(job_id, "cancelled")
