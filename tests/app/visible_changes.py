"""What a change is, and who must see it at once, on whatever process they ask.

The changes themselves are in changes_of_people.py, changes_of_reconciliations.py and
changes_of_things.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx

from muniment.db import Role, new_id
from muniment.tenancy.secrets import hash_of, new_secret
from tests.app.api_processes import Ask
from tests.app.callers import Caller, Home, Present, World

OWNER = Caller("owner session", "session")
OPERATOR = Caller("operator key", "operator key")
EDITOR = Caller("editor session", "session", Role.EDITOR)

Shows = Callable[[Any, httpx.Response], bool]
"""Tells, knowing what the change was answered, whether a reading shows it."""


@dataclass(frozen=True)
class Reading:
    """What somebody asks who must see the change."""

    ask: Ask | Callable[[httpx.Response], Ask]
    """A function where only the answer makes the request possible."""
    shows: Shows


@dataclass(frozen=True)
class Change:
    """A request that changes something, and readings that must show it."""

    write: Ask
    readings: list[Reading]


Make = Callable[[World, Home], Awaitable[Change]]
CHANGES: dict[str, Make] = {}
UNSEEN = {
    "POST /v1/documents/fetch": "it changes nothing",
    "POST /v1/search": "it changes nothing",
    "POST /v1/password-resets": "only its mail tells of it",
}
"""Why nobody can see what came of it."""


def changes(route: str) -> Callable[[Make], Make]:
    """Note how a route is proven, in an organization of its own."""

    def note(make: Make) -> Make:
        CHANGES[route] = make
        return make

    return note


# --- what readings show --------------------------------------------------------------------------


def status(code: int) -> Shows:
    return lambda _, reading: reading.status_code == code


def tells(wanted: Any, *path: str) -> Shows:
    """The value at a path of the reading is as wanted."""

    def shows(_: Any, reading: httpx.Response) -> bool:
        found = reading.json()
        for part in path:
            found = (found or {}).get(part)
        return bool(found == wanted)

    return shows


def tells_any(field: str) -> Shows:
    """The reading has a value where there was none."""
    return lambda _, reading: reading.json()[field] is not None


def lists(wanted: Any = None, field: str = "id") -> Shows:
    """An item of the reading has a value, that of the answer unless given."""
    return lambda answer, reading: any(
        item[field] == (answer[field] if wanted is None else wanted)
        for item in reading.json()["items"]
    )


def lists_not(unwanted: Any, field: str = "id") -> Shows:
    return lambda _, reading: all(item[field] != unwanted for item in reading.json()["items"])


def counts(wanted: int) -> Shows:
    return lambda _, reading: len(reading.json()["items"]) == wanted


def limits_key_to(requests: int) -> Shows:
    return lambda _, reading: f'"key";q={requests};' in reading.headers.get("RateLimit-Policy", "")


def get(path: str, who: Present) -> Ask:
    return Ask("GET", path, who)


def me(who: Present, shows: Shows) -> Reading:
    return Reading(get("/v1/me", who), shows)


def with_key(answer: httpx.Response, field: str = "key") -> Ask:
    return get("/v1/me", Present({"Authorization": f"Bearer {answer.json()[field]}"}))


def with_cookie(answer: httpx.Response) -> Ask:
    cookie = f"muniment_session={answer.cookies['muniment_session']}"
    return get("/v1/me", Present({"Cookie": cookie}))


# --- who asks ------------------------------------------------------------------------------------


async def key(
    world: World, home: Home, role: Role = Role.OWNER, first_only: bool = False
) -> Present:
    limit = "first" if first_only else None
    return await world._with_key(Caller("key", "key", role, limited_to=limit), home)


async def session(world: World, home: Home | None, caller: Caller = OWNER) -> Present:
    return await world._with_session(caller, home)


async def other_session(world: World, home: Home, who: Present) -> tuple[UUID, Present]:
    """Another session of the same person."""
    assert who.user_id is not None
    token = new_secret()
    session_id = await world.session(who.user_id, home, token)
    return session_id, Present({"Cookie": f"muniment_session={token}"})


async def another_home(world: World) -> Home:
    return await world._home(f"home {uuid4()}")


async def thing(world: World, home: Home) -> tuple[UUID, Present]:
    """A key, as the thing that is changed, and whoever holds it."""
    api_key_id, secret = new_id(), new_secret("mun_")
    await world._run(
        "INSERT INTO api_keys (org_id, api_key_id, name, prefix, hash, role)"
        " VALUES ($1, $2, 'thing', 'mun_thing', $3, 'viewer')",
        home.org_id,
        api_key_id,
        hash_of(secret),
    )
    return api_key_id, Present({"Authorization": f"Bearer {secret}"})
