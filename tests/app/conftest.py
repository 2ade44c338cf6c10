"""An application on a real database, with a few routes of its own beside ours."""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation
from litestar.response import Stream

from muniment.admission import for_members
from muniment.app import Application, Services, create_app
from muniment.db import Database, Role, TenantScope, UnitOfWork, load_statements
from muniment.errors import NotFound
from muniment.observability.logging import configure_logging
from muniment.settings import Settings
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.permissions import Action

_tenancy = load_statements("muniment.tenancy")


class Rename(msgspec.Struct, forbid_unknown_fields=True):
    """A body as rooms declare them."""

    name: str
    tags: list[str] = []
    times: Annotated[int, msgspec.Meta(ge=1)] = 1


@post("/v1/test/rename", action=Action.ORGANIZATION_READ, status_code=200)
async def rename(
    uow: NamedDependency[SkipValidation[UnitOfWork]], data: JSONBody[Rename]
) -> Rename:
    await uow.connection.execute("UPDATE organizations SET name = $1", data.name)
    return data


@post("/v1/test/rename-and-fail", action=Action.ORGANIZATION_READ)
async def rename_and_fail(
    uow: NamedDependency[SkipValidation[UnitOfWork]], data: JSONBody[Rename]
) -> Rename:
    await uow.connection.execute("UPDATE organizations SET name = $1", data.name)
    raise NotFound("There is no such thing.")


@post("/v1/test/fail-at-commit", action=Action.ORGANIZATION_READ, status_code=200)
async def fail_at_commit(uow: NamedDependency[SkipValidation[UnitOfWork]]) -> str:
    await uow.connection.execute(
        "CREATE TEMPORARY TABLE once (id int UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP"
    )
    await uow.connection.execute("INSERT INTO once VALUES (1), (1)")
    return "done"


@post("/v1/test/lose-connection", action=Action.ORGANIZATION_READ)
async def lose_connection(uow: NamedDependency[SkipValidation[UnitOfWork]]) -> str:
    await uow.connection.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")
    return "unreachable"


@get("/v1/test/things", action=Action.ORGANIZATION_READ)
async def list_things(
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
) -> list[str]:
    value: str = await uow.connection.fetchval("SELECT name FROM organizations")
    return [value] * limit


@get("/v1/test/things/{thing_id:uuid}", action=Action.ORGANIZATION_READ)
async def get_thing(thing_id: FromPath[UUID]) -> str:
    return str(thing_id)


@get("/v1/test/organization", action=Action.ORGANIZATION_READ)
async def organization(tenant: NamedDependency[SkipValidation[TenantScope]]) -> str:
    return str(tenant.org_id)


@get("/v1/test/slow-statement", action=Action.ORGANIZATION_READ)
async def slow_statement(uow: NamedDependency[SkipValidation[UnitOfWork]]) -> str:
    await uow.connection.execute("SELECT pg_sleep(10)")
    return "unreachable"


@get("/v1/test/crash", action=Action.ORGANIZATION_READ)
async def crash() -> str:
    raise RuntimeError("the password is hunter2")


@get("/v1/test/unstorable", action=Action.ORGANIZATION_READ)
async def unstorable(uow: NamedDependency[SkipValidation[UnitOfWork]]) -> str:
    value: str = await uow.connection.fetchval("SELECT $1::text", "a\x00b")
    return value


async def _refusing(uow: NamedDependency[SkipValidation[UnitOfWork]]) -> str:
    await uow.connection.execute("SELECT 1")
    raise NotFound


@get(
    "/v1/test/refused-dependency",
    action=Action.ORGANIZATION_READ,
    dependencies={"thing": Provide(_refusing)},
)
async def refused_dependency(thing: NamedDependency[str]) -> str:
    return thing


@get("/v1/test/long", action=Action.ORGANIZATION_READ)
async def long() -> list[str]:
    return ["a passage about archives and their keepers"] * 200


@get("/v1/test/streamed", action=Action.ORGANIZATION_READ)
async def streamed() -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield f'{{"number": {number}}}\n'.encode() * 100

    return Stream(pieces, media_type="application/json")


@get("/v1/test/events", action=Action.ORGANIZATION_READ)
async def events() -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            yield f"event: tick\ndata: {number}\n\n".encode()

    return Stream(pieces, media_type="text/event-stream")


@get("/v1/test/repetitive", action=Action.ORGANIZATION_READ)
async def repetitive(
    uow: NamedDependency[SkipValidation[UnitOfWork]], times: FromQuery[int] = 1
) -> None:
    for _ in range(times):
        await _tenancy.oldest_workspace(uow)


ROUTES: list[Any] = [
    rename,
    rename_and_fail,
    fail_at_commit,
    lose_connection,
    list_things,
    get_thing,
    organization,
    slow_statement,
    crash,
    unstorable,
    refused_dependency,
    long,
    streamed,
    events,
    repetitive,
]


def application(database: Database, settings: Settings | None = None) -> Application:
    """An application with the routes above, on a database that somebody else closes."""
    settings = settings or Settings(data_dir=Path(tempfile.gettempdir()))
    services = Services(database, b"test secret", settings, None, None, None)  # type: ignore[arg-type]
    app = create_app(settings, services)
    app.register(for_members(ROUTES))
    return app


@pytest.fixture(autouse=True)
def log() -> io.StringIO:
    """What is logged, one JSON object a line."""
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    return stream


@pytest.fixture
async def api_key(database: Database, scope: TenantScope) -> str:
    async with database.unit_of_work(scope) as work:
        return (await create_api_key(work, "test", Role.OWNER)).key


@pytest.fixture
async def client(database: Database, api_key: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that sends a valid key."""
    async with client_of(application(database)) as client:
        client.headers["authorization"] = f"Bearer {api_key}"
        yield client


@asynccontextmanager
async def client_of(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that runs in this event loop, as its database does."""
    started, stop = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        # A fixture begins and ends in different tasks, which the framework's lifespan may not.
        async with app.lifespan():
            started.set()
            await stop.wait()

    running = asyncio.create_task(run())
    await started.wait()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
    stop.set()
    await running


async def organization_name(database: Database, scope: TenantScope) -> str:
    async with database.unit_of_work(scope) as work:
        value: str = await work.connection.fetchval("SELECT name FROM organizations")
    return value
