"""For each route that changes something: a change, and who must see it at once, on any process.

A route of the application that is missing here fails tests/app/test_several_processes.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx

from muniment.db import OrgId, Role, WorkspaceId, new_id
from muniment.tenancy.secrets import hash_of, new_secret
from tests.app.api_processes import Ask
from tests.app.callers import AHEAD, PASSWORD, TEXT, Caller, Home, Present, World

OWNER_KEY = Caller("owner key", "key")
OWNER = Caller("owner session", "session")
EDITOR = Caller("editor session", "session", Role.EDITOR)
NEW_PASSWORD = "another quiet archive"

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


# --- anyone --------------------------------------------------------------------------------------


@changes("POST /v1/sign-up")
async def sign_up(world: World, _home: Home) -> Change:
    name = f"Founded {uuid4()}"
    operator = await world.come(Caller("operator key", "operator key"))
    account = {"email": f"{uuid4()}@example.com", "password": PASSWORD}
    body = {"json": account | {"name": "Somebody", "organization": name}}
    return Change(
        Ask("POST", "/v1/sign-up", body=body),
        [
            Reading(Ask("GET", "/v1/admin/organizations", operator, {"params": {"name": name}}),
                    counts(1)),
            Reading(with_cookie, tells(name, "organization", "name")),
        ],
    )  # fmt: skip


@changes("POST /v1/sign-in")
async def sign_in(world: World, home: Home) -> Change:
    who = await session(world, home)
    body = {"json": {"email": who.email, "password": PASSWORD}}
    return Change(
        Ask("POST", "/v1/sign-in", body=body),
        [Reading(get("/v1/sessions", who), counts(2)), Reading(with_cookie, status(200))],
    )


@changes("POST /v1/password-resets/complete")
async def reset(world: World, home: Home) -> Change:
    who = await session(world, home)
    token = new_secret()
    await world._run(
        "INSERT INTO password_resets (user_id, token_hash, expires_at)"
        " VALUES ($1, $2, now() + $3)",
        who.user_id,
        hash_of(token),
        AHEAD,
    )
    body = {"json": {"token": token, "password": NEW_PASSWORD}}
    return Change(
        Ask("POST", "/v1/password-resets/complete", body=body), [me(who, status(401))]
    )


@changes("POST /v1/invitations/accept")
async def accept(world: World, home: Home) -> Change:
    owner = await key(world, home)
    invitation_id, token = await world.invitation(home)
    body = {"json": {"token": token, "name": "Somebody", "password": PASSWORD}}
    return Change(
        Ask("POST", "/v1/invitations/accept", body=body),
        [
            Reading(
                get("/v1/organization/members", owner),
                lists(f"{invitation_id}@example.com", "email"),
            ),
            Reading(get("/v1/invitations", owner), lists_not(str(invitation_id))),
            Reading(with_cookie, tells(str(home.org_id), "organization", "id")),
        ],
    )


# --- people --------------------------------------------------------------------------------------


@changes("POST /v1/organizations")
async def found(world: World, home: Home) -> Change:
    who = await session(world, home)
    return Change(
        Ask("POST", "/v1/organizations", who, {"json": {"name": "Founded"}}),
        [me(who, tells("Founded", "organization", "name"))],
    )


@changes("POST /v1/password")
async def password(world: World, home: Home) -> Change:
    who = await session(world, home)
    _id, elsewhere = await other_session(world, home, who)
    passwords = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    return Change(
        Ask("POST", "/v1/password", who, {"json": passwords}),
        [me(elsewhere, status(401)), Reading(get("/v1/sessions", who), counts(1))],
    )


@changes("PATCH /v1/session")
async def switch(world: World, home: Home) -> Change:
    who = await session(world, home)
    other = await another_home(world)
    assert who.user_id is not None
    assert who.email is not None
    await world.join(other, who.user_id, who.email, Role.VIEWER)
    wanted = str(other.org_id)
    return Change(
        Ask("PATCH", "/v1/session", who, {"json": {"organization_id": wanted}}),
        [me(who, tells(wanted, "organization", "id")), me(who, tells("viewer", "role"))],
    )


@changes("DELETE /v1/sessions/{session_id}")
async def end_session(world: World, home: Home) -> Change:
    who = await session(world, home)
    session_id, elsewhere = await other_session(world, home, who)
    return Change(
        Ask("DELETE", f"/v1/sessions/{session_id}", who),
        [
            me(elsewhere, status(401)),
            Reading(get("/v1/session", elsewhere), status(401)),
            Reading(get("/v1/sessions", who), lists_not(str(session_id))),
        ],
    )


@changes("POST /v1/sign-out")
async def sign_out(world: World, home: Home) -> Change:
    who = await session(world, home)
    return Change(Ask("POST", "/v1/sign-out", who), [me(who, status(401))])


@changes("POST /v1/sign-out-everywhere")
async def sign_out_everywhere(world: World, home: Home) -> Change:
    who = await session(world, home)
    _id, elsewhere = await other_session(world, home, who)
    return Change(
        Ask("POST", "/v1/sign-out-everywhere", who),
        [me(elsewhere, status(401)), me(who, status(401))],
    )


@changes("PATCH /v1/user")
async def rename_user(world: World, home: Home) -> Change:
    who = await session(world, home)
    _id, elsewhere = await other_session(world, home, who)
    return Change(
        Ask("PATCH", "/v1/user", who, {"json": {"name": "Somebody else"}}),
        [
            me(elsewhere, tells("Somebody else", "user", "name")),
            Reading(
                get("/v1/organization/members", elsewhere), lists("Somebody else", "name")
            ),
        ],
    )


@changes("POST /v1/user/invitations/{invitation_id}/accept")
async def accept_offered(world: World, home: Home) -> Change:
    who = await session(world, home)
    other = await another_home(world)
    owner = await key(world, other)
    invitation_id, _token = await world.invitation(other, who.email)
    return Change(
        Ask("POST", f"/v1/user/invitations/{invitation_id}/accept", who),
        [
            me(who, tells(str(other.org_id), "organization", "id")),
            Reading(get("/v1/user/invitations", who), counts(0)),
            Reading(get("/v1/organization/members", owner), lists(who.email, "email")),
        ],
    )


# --- members -------------------------------------------------------------------------------------


@changes("PATCH /v1/organization")
async def organization(world: World, home: Home) -> Change:
    owner, other = await key(world, home), await session(world, home, EDITOR)
    return Change(
        Ask("PATCH", "/v1/organization", owner, {"json": {"name": "Renamed"}}),
        [
            me(owner, tells("Renamed", "organization", "name")),
            me(other, tells("Renamed", "organization", "name")),
            Reading(get("/v1/organization", other), tells("Renamed", "name")),
        ],
    )


@changes("DELETE /v1/organization/members/me")
async def leave(world: World, home: Home) -> Change:
    who, owner = await session(world, home, EDITOR), await key(world, home)
    return Change(
        Ask("DELETE", "/v1/organization/members/me", who),
        [
            me(who, status(403)),
            Reading(
                get("/v1/organization/members", owner), lists_not(str(who.user_id), "user_id")
            ),
        ],
    )


@changes("DELETE /v1/organization/members/{user_id}")
async def remove(world: World, home: Home) -> Change:
    who, owner = await session(world, home, EDITOR), await key(world, home)
    return Change(
        Ask("DELETE", f"/v1/organization/members/{who.user_id}", owner),
        [
            me(who, status(403)),
            Reading(
                get("/v1/organization/members", owner), lists_not(str(who.user_id), "user_id")
            ),
            Reading(get(f"/v1/organization/members/{who.user_id}", owner), status(404)),
        ],
    )


@changes("PATCH /v1/organization/members/{user_id}")
async def change_role(world: World, home: Home) -> Change:
    who, owner = await session(world, home, EDITOR), await key(world, home)
    path = f"/v1/organization/members/{who.user_id}"
    return Change(
        Ask("PATCH", path, owner, {"json": {"role": "viewer"}}),
        [
            me(who, tells("viewer", "role")),
            Reading(get(path, owner), tells("viewer", "role")),
            Reading(get("/v1/organization/members", owner), lists("viewer", "role")),
            Reading(get("/v1/workspaces", who), lists("viewer", "role")),
        ],
    )


@changes("PUT /v1/workspaces/{workspace_id}/members/{user_id}")
async def narrow(world: World, home: Home) -> Change:
    who, owner = await session(world, home, EDITOR), await key(world, home)
    roles = [{"workspace_id": str(home.first), "role": "viewer"}]
    return Change(
        Ask(
            "PUT",
            f"/v1/workspaces/{home.first}/members/{who.user_id}",
            owner,
            {"json": {"role": "viewer"}},
        ),
        [
            me(who, tells({str(home.first): "viewer"}, "workspace_roles")),
            Reading(get("/v1/workspaces", who), lists("viewer", "role")),
            Reading(get("/v1/organization/members", owner), lists(roles, "workspace_roles")),
        ],
    )


@changes("DELETE /v1/workspaces/{workspace_id}/members/{user_id}")
async def widen(world: World, home: Home) -> Change:
    who, owner = await session(world, home, EDITOR), await key(world, home)
    assert who.user_id is not None
    await world.narrow(home, who.user_id, Role.VIEWER)
    return Change(
        Ask("DELETE", f"/v1/workspaces/{home.first}/members/{who.user_id}", owner),
        [
            me(who, tells({}, "workspace_roles")),
            Reading(get("/v1/workspaces", who), lists_not("viewer", "role")),
            Reading(get("/v1/organization/members", owner), lists([], "workspace_roles")),
        ],
    )
