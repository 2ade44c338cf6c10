"""Several processes of one installation: what one of them changes, the others show (F19, F23).

The processes are real ones, asked over HTTP; once with Redis and once without.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from muniment.db import Database, Role
from muniment.db.installation import Installation
from muniment.documents.blobs import BlobStore
from tests.app import changes_of_people, changes_of_things
from tests.app.api_processes import FRESH_SECONDS, ApiProcess, Ask, api_processes
from tests.app.callers import Caller, Home, Present, World
from tests.app.steady_load import READERS, Load, until
from tests.app.visible_changes import (
    CHANGES,
    EDITOR,
    UNSEEN,
    Reading,
    another_home,
    get,
    key,
    me,
    session,
    status,
    tells,
    thing,
)
from tests.conftest import Clone, cloned
from tests.redis_server import RedisServer, running_redis

assert changes_of_people
assert changes_of_things

ROUNDS = 1000
MUTATING = {"post", "put", "patch", "delete"}
WITH_REDIS = pytest.mark.parametrize("pair", ["redis"], indirect=True)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Pair:
    """Two processes, and the world that they are asked about."""

    first: ApiProcess
    second: ApiProcess
    world: World
    redis: RedisServer | None
    dsn: str
    """Of their database, as its administrator."""

    @property
    def both(self) -> list[ApiProcess]:
        return [self.first, self.second]

    @property
    def home(self) -> Home:
        return self.world.homes["ours"]


@pytest.fixture(scope="module")
def clone(server: Installation) -> Iterator[Clone]:
    """One database for all tests of this file: each makes its own things."""
    with cloned(server) as clone:
        yield clone


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["postgres", "redis"])
async def pair(request: pytest.FixtureRequest, clone: Clone) -> AsyncIterator[Pair]:
    with (
        running_redis() if request.param == "redis" else nullcontext() as redis,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(name)
        redis_url = None if redis is None else redis.url
        target = clone.installation
        async with (
            clone.open() as database,
            api_processes(target, folder, redis_url=redis_url) as (first, second),
        ):
            yield await made(first, second, database, folder, redis, target.owner_dsn)


async def made(
    first: ApiProcess,
    second: ApiProcess,
    database: Database,
    folder: Path,
    redis: RedisServer | None,
    dsn: str,
) -> Pair:
    world = await World.made(database, BlobStore.in_folder(folder / "blobs"))
    return Pair(first, second, world, redis, dsn)


# --- every change is shown everywhere ------------------------------------------------------------


async def test_every_route_that_changes_something_is_proven(pair: Pair) -> None:
    document = (await pair.first.ask(Ask("GET", "/schema/openapi.json"))).json()
    mutating = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
        if method in MUTATING
    }
    assert mutating == CHANGES.keys() | UNSEEN.keys()
    assert not CHANGES.keys() & UNSEEN.keys()


@pytest.mark.parametrize("route", CHANGES)
async def test_a_change_on_one_process_shows_on_the_other(pair: Pair, route: str) -> None:
    """Within 50 ms of its answer, though the other process has cached what was there before."""
    async with pair.world.writing():
        change = await CHANGES[route](pair.world, await another_home(pair.world))
    before = [
        [await pair.second.ask(reading.ask) for _ in range(2)][-1]
        if isinstance(reading.ask, Ask)
        else None
        for reading in change.readings
    ]
    answer = await pair.first.ask(change.write)
    answered = time.monotonic()
    assert answer.is_success, answer.text
    told = answer.json() if answer.content else None
    for reading, earlier in zip(change.readings, before, strict=True):
        if not isinstance(reading.ask, Ask):
            reading = Reading(reading.ask(answer), reading.shows)
        await shown_in_time(pair.second, reading, answered, told)
        assert earlier is None or not reading.shows(told, earlier), earlier.text


async def shown_in_time(
    process: ApiProcess, reading: Reading, answered: float, told: object = None
) -> int:
    """Ask until the change shows; return how often it did not."""
    assert isinstance(reading.ask, Ask)
    too_early = 0
    while True:
        asked = time.monotonic()
        found = await process.ask(reading.ask)
        if reading.shows(told, found):
            return too_early
        too_early += 1
        assert asked - answered < FRESH_SECONDS, (reading.ask, found.text)


async def test_a_name_changed_a_thousand_times_is_fresh_each_time(
    pair: Pair, record_property: Callable[[str, object], None]
) -> None:
    async with pair.world.writing():
        owner, reader = await key(pair.world, pair.home), await key(pair.world, pair.home)
    dropped = await pair.second.cache("invalidations", "organizations")
    too_early = 0
    for number in range(ROUNDS):
        body = {"json": {"name": f"name {number}"}}
        await pair.first.ask(Ask("PATCH", "/v1/organization", owner, body))
        answered = time.monotonic()
        shows = tells(f"name {number}", "organization", "name")
        too_early += await shown_in_time(pair.second, me(reader, shows), answered)
    record_property("too_early", too_early)
    # The other process had cached the name each time, and had to forget it.
    assert await pair.second.cache("invalidations", "organizations") - dropped >= ROUNDS - 1
    assert await pair.second.cache("bypasses", "organizations") == 0
    assert too_early <= ROUNDS // 100
