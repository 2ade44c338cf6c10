"""Several processes of one installation: what one of them changes, the others show.

F19: changes are shown at once. F23: callers are cached, and what is taken from them is refused by
the next request. F24: callers of the last hour are cached ahead. F32: limits are shared.

The processes are real ones, asked over HTTP; once with Redis and once without.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from muniment.db.installation import Installation
from muniment.documents.blobs import BlobStore
from tests.app import (
    changes_of_people,
    changes_of_reconciliations,
    changes_of_reviews,
    changes_of_things,
)
from tests.app.api_processes import FRESH_SECONDS, ApiProcess, Ask, api_processes
from tests.app.callers import Home, Present, World
from tests.app.steady_load import READERS, Load
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
    tells,
    thing,
)
from tests.conftest import Clone, cloned
from tests.redis_server import RedisServer, running_redis
from tests.waiting import until

assert all((changes_of_people, changes_of_reconciliations, changes_of_reviews, changes_of_things))

ROUNDS = 1000
AT_ONCE = 4
REVOCATIONS = 100
"""With Redis and as many without."""
REMOVALS = 50
LIMIT = 20
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
    known: list[Present]
    """Keys that were in use when the processes started, and are not used since."""
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while something is made in the world: it writes in one transaction at a time."""

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
        redis_url = None if redis is None else redis.url
        target = clone.installation
        async with clone.open() as database:
            world = await World.made(database, BlobStore.in_folder(Path(name, "blobs")))
            async with world.writing():
                known = [await key(world, world.homes["ours"]) for _ in range(2)]
                await world._run("UPDATE api_keys SET last_used_at = now()")
            async with api_processes(target, Path(name), redis_url=redis_url) as (first, second):
                yield Pair(first, second, world, redis, target.owner_dsn, known)


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
        ask = reading.ask if isinstance(reading.ask, Ask) else reading.ask(answer)
        await shown_in_time(pair.second, Reading(ask, reading.shows), answered, told)
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


async def test_a_name_changed_a_thousand_times_is_fresh_each_time(pair: Pair) -> None:
    dropped = await pair.second.cache("invalidations", "organizations")
    bypassed = await pair.second.cache("bypasses", "organizations")
    # Several organizations at a time, for the time that it takes.
    too_early = await asyncio.gather(*(renamed(pair, ROUNDS // AT_ONCE) for _ in range(AT_ONCE)))
    # The other process had cached the name each time, and had to forget it.
    forgotten = await pair.second.cache("invalidations", "organizations") - dropped
    assert forgotten >= ROUNDS - AT_ONCE
    assert await pair.second.cache("bypasses", "organizations") == bypassed
    # A change is not answered before every process has heard of it.
    assert sum(too_early) == 0


async def renamed(pair: Pair, rounds: int) -> int:
    """Rename an organization again and again; return how often the other process was late."""
    async with pair.making, pair.world.writing():
        home = await another_home(pair.world)
        owner, reader = await key(pair.world, home), await key(pair.world, home)
    too_early = 0
    for number in range(rounds):
        body = {"json": {"name": f"name {number}"}}
        await pair.first.ask(Ask("PATCH", "/v1/organization", owner, body))
        answered = time.monotonic()
        shows = tells(f"name {number}", "organization", "name")
        too_early += await shown_in_time(pair.second, me(reader, shows), answered)
    return too_early


# --- what was taken away is refused at once -------------------------------------------------------


async def test_a_revoked_key_is_refused_by_the_next_request_everywhere(pair: Pair) -> None:
    async with pair.world.writing():
        owner = await key(pair.world, pair.home)
        things = [await thing(pair.world, pair.home) for _ in range(REVOCATIONS)]
    for api_key_id, holder in things:
        revoke = Ask("DELETE", f"/v1/api-keys/{api_key_id}", owner)
        await refused_at_once(pair, holder, revoke, with_status=401)


async def test_a_removed_member_is_refused_by_the_next_request_everywhere(pair: Pair) -> None:
    async with pair.world.writing():
        owner = await key(pair.world, pair.home)
        members = [await session(pair.world, pair.home, EDITOR) for _ in range(REMOVALS)]
    for who in members:
        remove = Ask("DELETE", f"/v1/organization/members/{who.user_id}", owner)
        await refused_at_once(pair, who, remove, with_status=403)


async def test_a_session_that_ended_is_refused_by_the_next_request_everywhere(pair: Pair) -> None:
    async with pair.world.writing():
        people = [await session(pair.world, pair.home, EDITOR) for _ in range(REMOVALS)]
    for who in people:
        await refused_at_once(pair, who, Ask("POST", "/v1/sign-out", who), with_status=401)


async def refused_at_once(pair: Pair, who: Present, change: Ask, *, with_status: int) -> None:
    """Let both processes know a caller, change that on the first, and ask each just once."""
    for process in pair.both:
        assert (await process.ask(get("/v1/me", who))).status_code == 200
    assert (await pair.first.ask(change)).status_code == 204
    for process in (pair.second, pair.first):
        assert (await process.ask(get("/v1/me", who))).status_code == with_status


# --- what it costs -------------------------------------------------------------------------------


async def statements(process: ApiProcess, who: Present) -> int:
    """Ask who somebody is, and return how many statements that took."""
    request_id = uuid4().hex
    answer = await process.ask(get("/v1/me", who), **{"X-Request-ID": request_id})
    assert answer.status_code == 200
    count: int = (await process.log_line(request_id))["statements"]
    return count


@pytest.mark.parametrize("kind", ["key", "session"])
async def test_a_caller_who_is_known_costs_no_statement(pair: Pair, kind: str) -> None:
    async with pair.world.writing():
        who = await (key if kind == "key" else session)(pair.world, pair.home)
    assert await statements(pair.second, who) > 0
    assert [await statements(pair.second, who) for _ in range(2)] == [0, 0]


@WITH_REDIS
async def test_what_one_process_has_loaded_costs_the_other_no_statement(pair: Pair) -> None:
    async with pair.world.writing():
        who = await key(pair.world, pair.home)
    assert await statements(pair.first, who) > 0
    assert await statements(pair.second, who) == 0


async def test_callers_of_the_last_hour_are_known_at_the_start_and_after_a_flush(
    pair: Pair,
) -> None:
    async def warm() -> bool:
        figures = await pair.second.figures()
        counts = [
            figures.get(f'muniment_cache_entries{{namespace="{name}"}}', 0)
            for name in ("api_keys", "organizations")
        ]
        return min(counts) > 0

    await until(warm)
    assert await statements(pair.second, pair.known[0]) == 0
    dropped = await pair.second.cache("invalidations", "organizations")
    await asyncio.to_thread(cut_listeners, pair.dsn)

    async def flushed() -> bool:
        return await pair.second.cache("invalidations", "organizations") > dropped

    await until(flushed)
    await until(warm)
    assert await statements(pair.second, pair.known[1]) == 0


@WITH_REDIS
async def test_processes_share_the_limit_of_a_key(pair: Pair) -> None:
    async with pair.world.writing():
        owner, (api_key_id, holder) = (
            await key(pair.world, pair.home),
            await thing(pair.world, pair.home),
        )
    body = {"json": {"requests_per_minute": LIMIT}}
    await pair.first.ask(Ask("PATCH", f"/v1/api-keys/{api_key_id}", owner, body))
    answers = await asyncio.gather(
        *(process.ask(get("/v1/me", holder)) for process in pair.both * LIMIT)
    )
    # A request that Redis does not count in time passes and is told nothing of what is left.
    counted = [answer for answer in answers if "ratelimit" in answer.headers]
    assert len(counted) > LIMIT
    assert Counter(answer.status_code for answer in counted) == {
        200: LIMIT,
        429: len(counted) - LIMIT,
    }


# --- what may fail -------------------------------------------------------------------------------


@WITH_REDIS
async def test_redis_may_be_killed_and_come_back_under_load(pair: Pair) -> None:
    assert pair.redis is not None
    load = await loaded(pair)
    async with load.running():
        await load.pass_requests(200)
        before = await hit_rate(pair, load)
        assert await loads_from_redis(pair)

        pair.redis.kill()
        await load.pass_requests(200)
        assert not await loads_from_redis(pair)

        pair.redis.start()
        await until(lambda: loads_from_redis(pair))
        after = await hit_rate(pair, load)
    assert load.answers.keys() == {200}
    assert load.stale == []
    assert after >= 0.9 * before


async def test_the_listening_connections_may_be_cut_under_load(pair: Pair) -> None:
    load = await loaded(pair)
    async with load.running():
        await load.pass_requests(200)
        before = await hit_rate(pair, load)
        for _ in range(3):
            assert await asyncio.to_thread(cut_listeners, pair.dsn) == 2
            await load.pass_requests(50)
            await until(lambda: listening(pair))
        after = await hit_rate(pair, load)
    assert load.answers.keys() == {200}
    assert load.stale == []
    assert after >= 0.9 * before


async def loaded(pair: Pair) -> Load:
    """An organization of its own and its readers."""
    async with pair.world.writing():
        home = await another_home(pair.world)
        owner = await key(pair.world, home)
        readers = [await key(pair.world, home) for _ in range(READERS)]
    return Load(pair.both, owner, readers)


async def hit_rate(pair: Pair, load: Load) -> float:
    """The share of the callers' keys that are found cached from now on."""

    async def counted() -> tuple[float, float]:
        figures = [await process.figures() for process in pair.both]
        hits = sum(
            value
            for one in figures
            for name, value in one.items()
            if name.startswith('muniment_cache_hits_total{level="') and '"api_keys"' in name
        )
        loads = [
            one.get(f'muniment_cache_{counter}_total{{namespace="api_keys"}}', 0)
            for one in figures
            for counter in ("misses", "bypasses")
        ]
        return hits, sum(loads)

    hits, others = await counted()
    await load.pass_requests(200)
    more_hits, more_others = await counted()
    return (more_hits - hits) / (more_hits - hits + more_others - others)


async def loads_from_redis(pair: Pair) -> bool:
    """Tell whether the second process finds in Redis what the first has loaded."""
    async with pair.world.writing():
        who = await key(pair.world, pair.home)
    before = await pair.second.cache("hits", "api_keys", level="redis")
    for process in pair.both:
        assert (await process.ask(get("/v1/me", who))).status_code == 200
    return await pair.second.cache("hits", "api_keys", level="redis") > before


async def listening(pair: Pair) -> bool:
    figures = [await process.figures() for process in pair.both]
    return all(one["muniment_cache_listening"] == 1 for one in figures)


def cut_listeners(dsn: str) -> int:
    """End the connections that hear invalidations; return how many there were."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'muniment cache' AND datname = current_database()"
        ).fetchall()
    return len(rows)
