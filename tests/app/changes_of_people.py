"""Changes that people make to themselves, and to who belongs to an organization."""

from __future__ import annotations

from uuid import uuid4

from muniment.db import Role
from muniment.tenancy.secrets import hash_of, new_secret
from tests.app.api_processes import Ask
from tests.app.callers import AHEAD, PASSWORD, Home, World
from tests.app.visible_changes import (
    EDITOR,
    OPERATOR,
    Change,
    Reading,
    another_home,
    changes,
    counts,
    get,
    key,
    lists,
    lists_not,
    me,
    other_session,
    session,
    status,
    tells,
    with_cookie,
)

NEW_PASSWORD = "another quiet archive"

# --- anyone --------------------------------------------------------------------------------------


@changes("POST /v1/sign-up")
async def sign_up(world: World, _home: Home) -> Change:
    name = f"Founded {uuid4()}"
    operator = await world.come(OPERATOR)
    account = {"email": f"{uuid4()}@example.com", "password": PASSWORD}
    body = {"json": account | {"name": "Somebody", "organization": name}}
    return Change(
        Ask("POST", "/v1/sign-up", body=body),
        [
            Reading(
                Ask("GET", "/v1/admin/organizations", operator, {"params": {"name": name}}),
                counts(1),
            ),
            Reading(with_cookie, tells(name, "organization", "name")),
        ],
    )


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
        "INSERT INTO password_resets (user_id, token_hash, expires_at) VALUES ($1, $2, now() + $3)",
        who.user_id,
        hash_of(token),
        AHEAD,
    )
    body = {"json": {"token": token, "password": NEW_PASSWORD}}
    return Change(Ask("POST", "/v1/password-resets/complete", body=body), [me(who, status(401))])


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
            Reading(get("/v1/organization/members", elsewhere), lists("Somebody else", "name")),
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


@changes("DELETE /v1/organization/members/me")
async def leave(world: World, home: Home) -> Change:
    who, owner = await session(world, home, EDITOR), await key(world, home)
    return Change(
        Ask("DELETE", "/v1/organization/members/me", who),
        [
            me(who, status(403)),
            Reading(get("/v1/organization/members", owner), lists_not(str(who.user_id), "user_id")),
        ],
    )


@changes("DELETE /v1/organization/members/{user_id}")
async def remove(world: World, home: Home) -> Change:
    who, owner = await session(world, home, EDITOR), await key(world, home)
    return Change(
        Ask("DELETE", f"/v1/organization/members/{who.user_id}", owner),
        [
            me(who, status(403)),
            Reading(get("/v1/organization/members", owner), lists_not(str(who.user_id), "user_id")),
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
