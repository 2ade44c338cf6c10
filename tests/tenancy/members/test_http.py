"""Members and workspaces over HTTP, with two processes on one database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest

from muniment.db import Database, Role, TenantScope, WorkspaceId
from muniment.tenancy.keys.create import create_api_key
from tests.conftest import Clone
from tests.tenancy.members.conftest import (
    add_member,
    add_workspace,
    another_browser,
    code_of,
    served,
    sign_up,
    signed_in,
    statements,
)

GUEST = "guest@example.org"


@asynccontextmanager
async def with_key(
    client: httpx.AsyncClient,
    database: Database,
    scope: TenantScope,
    role: Role,
    workspace_id: WorkspaceId | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A program with an API key."""
    async with database.unit_of_work(scope) as work:
        key = (await create_api_key(work, "test", role, workspace_id=workspace_id)).key
    async with another_browser(client) as program:
        program.headers["authorization"] = f"Bearer {key}"
        yield program


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with served(database, rate_limits=False) as client:
        yield client


@pytest.fixture
async def other_process(clone: Clone) -> AsyncIterator[httpx.AsyncClient]:
    """Another process on the same database, with pools and a cache of its own."""
    async with clone.open() as database, served(database, rate_limits=False) as client:  # type: ignore[attr-defined]
        yield client


async def joined(owner: httpx.AsyncClient, guest: httpx.AsyncClient, role: str) -> str:
    """Let a guest become a member; returns their id."""
    invitation = await owner.post("/v1/invitations", json={"email": GUEST, "role": role})
    token = invitation.json()["accept_url"].partition("#token=")[2]
    given = {"token": token, "name": "Guest", "password": "harbour violet stone"}
    told = signed_in(guest, await guest.post("/v1/invitations/accept", json=given))
    user_id: str = told["user"]["id"]
    return user_id


async def test_a_changed_role_counts_from_the_next_request_on_every_process(
    client: httpx.AsyncClient, other_process: httpx.AsyncClient
) -> None:
    await sign_up(client)
    async with another_browser(other_process) as guest:
        user_id = await joined(client, guest, "admin")
        for round_ in range(5):
            made = await guest.post("/v1/workspaces", json={"name": f"round {round_}"})
            assert made.status_code == 201, made.text
            assert made.headers["location"] == f"/v1/workspaces/{made.json()['id']}"
            address = f"/v1/organization/members/{user_id}"
            changed = await client.patch(address, json={"role": "viewer"})
            assert changed.json()["role"] == "viewer"
            refused = await guest.post("/v1/workspaces", json={"name": f"never {round_}"})
            assert code_of(refused) == (403, "not_allowed")
            await client.patch(address, json={"role": "admin"})


async def test_a_removed_member_is_out_with_the_next_request_on_every_process(
    client: httpx.AsyncClient, other_process: httpx.AsyncClient
) -> None:
    await sign_up(client)
    async with another_browser(other_process) as guest:
        user_id = await joined(client, guest, "editor")
        assert (await guest.get("/v1/organization/members")).status_code == 200
        assert (await client.delete(f"/v1/organization/members/{user_id}")).status_code == 204
        assert code_of(await guest.get("/v1/organization/members")) == (403, "no_organization")
        session = (await guest.get("/v1/session")).json()
        assert (session["organization"], session["organizations"]) == (None, [])
        missing = await client.delete(f"/v1/organization/members/{user_id}")
        assert code_of(missing) == (404, "member_not_found")


async def test_a_narrower_role_in_a_workspace_counts_at_once(
    client: httpx.AsyncClient, other_process: httpx.AsyncClient
) -> None:
    await sign_up(client)
    [first] = (await client.get("/v1/workspaces")).json()["items"]
    async with another_browser(other_process) as guest:
        user_id = await joined(client, guest, "admin")
        [seen] = (await guest.get("/v1/workspaces")).json()["items"]
        assert seen["role"] == "admin"
        address = f"/v1/workspaces/{first['id']}/members/{user_id}"
        narrowed = await client.put(address, json={"role": "viewer"})
        assert narrowed.json()["workspace_roles"] == [
            {"workspace_id": first["id"], "role": "viewer"}
        ]
        [seen] = (await guest.get("/v1/workspaces")).json()["items"]
        assert seen["role"] == "viewer"
        own = f"/v1/workspaces/{first['id']}"
        assert code_of(await guest.patch(own, json={"name": "mine"})) == (403, "not_allowed")
        assert code_of(await guest.delete(own)) == (403, "not_allowed")
        assert code_of(await guest.delete(address)) == (403, "not_allowed")
        assert (await client.delete(address)).status_code == 204
        assert (await guest.patch(own, json={"name": "mine"})).json()["name"] == "mine"
        wide = await client.put(address, json={"role": "owner"})
        assert code_of(wide) == (409, "role_not_narrower")


async def test_leaving(client: httpx.AsyncClient) -> None:
    own = await sign_up(client)
    async with another_browser(client) as guest:
        await joined(client, guest, "viewer")
        manages = await guest.delete(f"/v1/organization/members/{own['user']['id']}")
        assert code_of(manages) == (403, "not_allowed")
        assert (await guest.delete("/v1/organization/members/me")).status_code == 204
        assert code_of(await guest.get("/v1/workspaces")) == (403, "no_organization")
    assert code_of(await client.delete("/v1/organization/members/me")) == (409, "last_owner")


async def test_first_pages_are_cached_and_fresh_on_every_process(
    client: httpx.AsyncClient,
    other_process: httpx.AsyncClient,
    database: Database,
    scope: TenantScope,
) -> None:
    await add_member(database, scope, Role.EDITOR)
    async with (
        with_key(client, database, scope, Role.OWNER) as writer,
        with_key(other_process, database, scope, Role.VIEWER) as reader,
    ):
        for path in ("/v1/workspaces", "/v1/organization/members"):
            await reader.get(path)
            with statements() as names:
                assert len((await reader.get(path)).json()["items"]) == 1
            assert names == []
        made = (await writer.post("/v1/workspaces", json={"name": "new"})).json()
        assert [w["name"] for w in (await reader.get("/v1/workspaces")).json()["items"]] == [
            "default",
            "new",
        ]
        await writer.patch(f"/v1/workspaces/{made['id']}", json={"name": "renamed"})
        shown = await reader.get(f"/v1/workspaces/{made['id']}")
        assert shown.json()["name"] == "renamed"
        assert (await reader.get("/v1/workspaces")).json()["items"][1]["name"] == "renamed"
        assert (await writer.delete(f"/v1/workspaces/{made['id']}")).status_code == 204
        page = await reader.get("/v1/workspaces?limit=1")
        assert (len(page.json()["items"]), page.json()["next_cursor"]) == (1, None)
        gone = await reader.get(f"/v1/workspaces/{made['id']}")
        assert code_of(gone) == (404, "workspace_not_found")


async def test_pages_follow_each_other(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    await add_workspace(database, scope, "second")
    await add_member(database, scope, Role.EDITOR)
    await add_member(database, scope, Role.VIEWER)
    async with with_key(client, database, scope, Role.ADMIN) as program:
        for path, key in (("/v1/workspaces", "id"), ("/v1/organization/members", "user_id")):
            first = (await program.get(path, params={"limit": 1})).json()
            cursor = first["next_cursor"]
            with statements() as names:
                second = (await program.get(path, params={"limit": 1, "cursor": cursor})).json()
            assert len(names) == 1
            assert first["items"][0][key] < second["items"][0][key]
            assert second["next_cursor"] is None
            wrong = await program.get(path, params={"cursor": cursor + "x"})
            assert code_of(wrong) == (400, "invalid_cursor")


async def test_a_key_of_one_workspace_manages_nothing_and_sees_its_own(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    mine = await add_workspace(database, scope, "mine")
    hidden = await add_workspace(database, scope, "hidden")
    member = await add_member(database, scope, Role.VIEWER)
    async with with_key(client, database, scope, Role.OWNER, mine) as program:
        [seen] = (await program.get("/v1/workspaces")).json()["items"]
        assert seen["id"] == str(mine)
        assert (await program.get(f"/v1/workspaces/{hidden}")).status_code == 404
        for method, path, body in (
            ("POST", "/v1/workspaces", {"name": "x"}),
            ("PATCH", f"/v1/workspaces/{mine}", {"name": "x"}),
            ("DELETE", f"/v1/workspaces/{mine}", None),
            ("PATCH", f"/v1/organization/members/{member.user_id}", {"role": "editor"}),
            ("DELETE", f"/v1/organization/members/{member.user_id}", None),
            ("PUT", f"/v1/workspaces/{mine}/members/{member.user_id}", {"role": "viewer"}),
            ("GET", "/v1/invitations", None),
            ("POST", "/v1/invitations", {"email": GUEST, "role": "viewer"}),
        ):
            answer = await program.request(method, path, json=body)
            assert code_of(answer) == (403, "not_allowed"), path
    async with with_key(client, database, scope, Role.OWNER) as program:
        assert code_of(await program.delete("/v1/organization/members/me")) == (403, "not_allowed")


async def test_what_belongs_to_others_is_not_found(
    client: httpx.AsyncClient, database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    theirs = await add_workspace(database, other_scope, "theirs")
    member = (await add_member(database, other_scope, Role.VIEWER)).user_id
    async with with_key(client, database, scope, Role.OWNER) as program:
        for method, path, body in (
            ("GET", f"/v1/workspaces/{theirs}", None),
            ("PATCH", f"/v1/workspaces/{theirs}", {"name": "mine"}),
            ("DELETE", f"/v1/workspaces/{theirs}", None),
            ("GET", f"/v1/organization/members/{member}", None),
            ("PATCH", f"/v1/organization/members/{member}", {"role": "viewer"}),
            ("DELETE", f"/v1/organization/members/{member}", None),
            ("PUT", f"/v1/workspaces/{theirs}/members/{member}", {"role": "viewer"}),
            ("DELETE", f"/v1/workspaces/{theirs}/members/{member}", None),
            ("DELETE", f"/v1/invitations/{uuid4()}", None),
        ):
            answer = await program.request(method, path, json=body)
            assert answer.status_code == 404, path


async def test_names_of_workspaces(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    async with with_key(client, database, scope, Role.ADMIN) as program:
        again = await program.post("/v1/workspaces", json={"name": "default"})
        assert code_of(again) == (409, "workspace_exists")
        for name in ("", "  ", "x" * 201, "a\u0000b", None):
            answer = await program.post("/v1/workspaces", json={"name": name})
            assert answer.status_code in {400, 422}, name
        # The framework answers this one, which does nothing that needs permission.
        assert (await program.options("/v1/workspaces")).status_code == 204
        [only] = (await program.get("/v1/workspaces")).json()["items"]
        last = await program.delete(f"/v1/workspaces/{only['id']}")
        assert code_of(last) == (409, "last_workspace")


async def test_founding_can_be_switched_off(database: Database) -> None:
    async with served(database) as client:
        await sign_up(client)
        answer = await client.post("/v1/organizations", json={"name": "Second"})
        told = signed_in(client, answer)
        assert told["organization"]["name"] == "Second"
        assert [one["name"] for one in told["organizations"]] == ["Analysts", "Second"]
        cookies = dict(client.cookies)
    async with served(database, sign_up=False) as client:
        client.cookies.update(cookies)
        client.headers["x-csrf-token"] = told["csrf_token"]
        answer = await client.post("/v1/organizations", json={"name": "Third"})
        assert code_of(answer) == (403, "sign_up_closed")
