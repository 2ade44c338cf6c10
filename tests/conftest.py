"""One Postgres server for the whole run, one fresh database for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import filelock
import psycopg
import pytest

from muniment.db import Database, OrgId, Role, TenantScope, WorkspaceId, new_id
from muniment.db.embedded import embedded_server, running_server
from muniment.db.installation import Installation, upgrade
from muniment.db.statements import _observers

TEMPLATE = "muniment_template"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Whoever watches statements stops with the module: the next would count them twice."""
    yield
    if nextitem is None or nextitem.path != item.path:
        assert _observers == [], f"{item.nodeid} still watches statements"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data that others wrote; it lies beside the checkout and is never copied."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/data is not there")
    return folder


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder for a server's data.

    Not one of pytest's: it closes those to other users whenever a run starts, and under root
    the server is another user.
    """
    with tempfile.TemporaryDirectory(prefix="muniment-test-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def server() -> Iterator[Installation]:
    """The run's server with a migrated template database, shared by all test processes."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    shared = Path(tempfile.gettempdir(), f"muniment-run-{run}")
    shared.mkdir(exist_ok=True)
    with embedded_server(shared) as superuser_dsn:
        template = _installation(superuser_dsn, TEMPLATE)
        with filelock.FileLock(shared / "template.lock"):
            if _create(superuser_dsn, TEMPLATE, "template0"):
                upgrade(template)
        yield template
    if not running_server(shared):
        shutil.rmtree(shared, ignore_errors=True)


@dataclass
class Clone:
    """A database of one test."""

    installation: Installation

    def open(self, *, worker: bool = False, **changes: object) -> object:
        """Open its pools, as the application or as a worker; see `Database.open`."""
        arguments = {
            "pool_size": 5,
            "operator_pool_size": 2,
            "acquire_timeout": 5.0,
            "statement_timeout": 30.0,
        }
        target = self.installation
        return Database.open(
            target.worker_dsn if worker else target.app_dsn,
            target.operator_dsn,
            **(arguments | changes),
        )


@pytest.fixture
def clone(server: Installation) -> Iterator[Clone]:
    """A fresh, migrated database that is dropped after the test."""
    with cloned(server) as clone:
        yield clone


@contextmanager
def cloned(server: Installation) -> Iterator[Clone]:
    """Make a fresh, migrated database and drop it in the end."""
    with _fresh(server, TEMPLATE) as clone:
        yield clone


@contextmanager
def empty_database(server: Installation) -> Iterator[Clone]:
    """Make a database that was never migrated and drop it in the end."""
    with _fresh(server, "template0") as clone:
        yield clone


@contextmanager
def _fresh(server: Installation, template: str) -> Iterator[Clone]:
    name = f"test_{uuid4().hex}"
    maintenance = _named(server.owner_dsn, "postgres")
    _create(maintenance, name, template)
    try:
        yield Clone(_installation(maintenance, name))
    finally:
        with psycopg.connect(maintenance, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(clone: Clone) -> AsyncIterator[Database]:
    """Pools on a fresh, migrated database."""
    async with clone.open() as database:
        yield database


@pytest.fixture
async def worker_database(clone: Clone) -> AsyncIterator[Database]:
    """Pools of a worker on the same database."""
    async with clone.open(worker=True) as database:
        yield database


@pytest.fixture
async def scope(database: Database) -> TenantScope:
    """The scope of an owner in a new organization with one workspace."""
    return await make_organization(database, "Ours")


@pytest.fixture
async def other_scope(database: Database) -> TenantScope:
    """The scope of an owner in another organization."""
    return await make_organization(database, "Theirs")


async def make_organization(database: Database, name: str) -> TenantScope:
    """Create an organization with the workspace `default` and return its owner's scope."""
    workspace_id = WorkspaceId(new_id())
    scope = TenantScope(OrgId(new_id()), None, "test", Role.OWNER)
    async with database.unit_of_work(scope) as work:
        await work.connection.execute(
            "INSERT INTO organizations (org_id, name, tier) VALUES ($1, $2, 'enterprise')",
            scope.org_id,
            name,
        )
        await work.connection.execute(
            "INSERT INTO workspaces (org_id, workspace_id, name) VALUES ($1, $2, 'default')",
            scope.org_id,
            workspace_id,
        )
    return scope


def _create(maintenance: str, name: str, template: str) -> bool:
    with psycopg.connect(maintenance, autocommit=True) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", (name,)
        ).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return found is None


def _named(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


def _installation(superuser_dsn: str, database: str) -> Installation:
    owner = _named(superuser_dsn, database)
    parts = urlsplit(owner)
    host = parts.netloc.rpartition("@")[2]

    def as_role(role: str) -> str:
        return urlunsplit(parts._replace(netloc=f"{role}:@{host}"))

    return Installation(
        owner,
        as_role("muniment_app"),
        as_role("muniment_worker"),
        as_role("muniment_operator"),
        b"test secret",
        embedded=True,
    )
