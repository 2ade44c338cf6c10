"""Invitations: sent once, renewed, taken back, and accepted once, with an account or a new one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from muniment.db import Database, Role, TenantScope
from muniment.tenancy.errors import NotAllowed
from muniment.tenancy.members.errors import AlreadyMember, InvitationNotFound
from muniment.tenancy.members.invitations import invite, page_of_invitations, revoke_invitation
from tests.tenancy.members.conftest import (
    PASSWORD,
    SECRET,
    add_member,
    another_browser,
    audited,
    code_of,
    served,
    sign_up,
    signed_in,
    statements,
)
from tests.tenancy.people.mail_server import mail_server

GUEST = "guest@example.org"
NEWCOMER = {"name": "Grace", "password": "harbour violet stone"}


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of somebody who owns an organization."""
    async with served(database, rate_limits=False, sign_in_attempts_per_address=1000) as client:
        await sign_up(client)
        yield client


async def invited(owner: httpx.AsyncClient, email: str = GUEST, role: str = "editor") -> str:
    """Invite somebody and return the token of the link."""
    answer = await owner.post("/v1/invitations", json={"email": email, "role": role})
    assert answer.status_code == 201, answer.text
    return token_of(answer.json()["accept_url"])


def token_of(url: str) -> str:
    parts = urlsplit(url)
    assert (parts.path, parts.query) == ("/accept-invitation", "")
    return parse_qs(parts.fragment)["token"][0]


async def accept(browser: httpx.AsyncClient, token: str, **given: str) -> httpx.Response:
    return await browser.post("/v1/invitations/accept", json={"token": token, **given})


async def members(owner: httpx.AsyncClient) -> dict[str, str]:
    answer = await owner.get("/v1/organization/members")
    return {member["email"]: member["role"] for member in answer.json()["items"]}


async def test_somebody_new_makes_an_account(owner: httpx.AsyncClient, database: Database) -> None:
    token = await invited(owner)
    async with another_browser(owner) as guest:
        told = signed_in(guest, await accept(guest, token, **NEWCOMER))
        assert told["organization"]["role"] == "editor"
        assert told["organization"]["name"] == "Analysts"
        assert (told["user"]["email"], told["user"]["name"]) == (GUEST, "Grace")
        assert (await guest.get("/v1/workspaces")).status_code == 200
        assert code_of(await accept(guest, token)) == (404, "invitation_unusable")
    assert await members(owner) == {"ada@example.com": "owner", GUEST: "editor"}
    async with another_browser(owner) as again:
        credentials = {"email": GUEST, "password": NEWCOMER["password"]}
        signed_in(again, await again.post("/v1/sign-in", json=credentials))
    assert (await owner.get("/v1/invitations")).json()["items"] == []
    async with database.operator() as work:
        # Who invited has seen the link too, so it does not prove whose address it is.
        row = await work.connection.fetchrow(
            "SELECT email_verified_at FROM users WHERE email = $1", GUEST
        )
    assert row == (None,)


async def test_somebody_known_gives_their_password(owner: httpx.AsyncClient) -> None:
    async with another_browser(owner) as guest:
        await sign_up(guest, GUEST)
    token = await invited(owner)
    async with another_browser(owner) as guest:
        assert code_of(await accept(guest, token)) == (422, "password_needed")
        wrong = await accept(guest, token, password="another password")
        assert code_of(wrong) == (401, "wrong_credentials")
        told = signed_in(guest, await accept(guest, token, password=PASSWORD))
        assert told["organization"]["role"] == "editor"
        assert len(told["organizations"]) == 2


async def test_somebody_signed_in_needs_no_password(owner: httpx.AsyncClient) -> None:
    token = await invited(owner)
    async with another_browser(owner) as guest:
        own = await sign_up(guest, GUEST)
        cookie = dict(guest.cookies)
        answer = await accept(guest, token)
        told = signed_in(guest, answer)
        assert dict(guest.cookies) == cookie
        assert "set-cookie" not in answer.headers
        assert told["organization"]["id"] != own["organization"]["id"]
        assert (await guest.get("/v1/organization")).json()["name"] == "Analysts"
        assert (await members(guest))[GUEST] == "editor"


async def test_an_invitation_for_somebody_else_is_not_accepted(owner: httpx.AsyncClient) -> None:
    token = await invited(owner)
    async with another_browser(owner) as other:
        await sign_up(other, "other@example.org")
        assert code_of(await accept(other, token)) == (403, "invitation_for_another")
        del other.headers["x-csrf-token"]
        assert code_of(await accept(other, token)) == (403, "wrong_csrf_token")
    assert GUEST not in await members(owner)


async def test_a_refused_password_leaves_the_link_good(owner: httpx.AsyncClient) -> None:
    token = await invited(owner)
    async with another_browser(owner) as guest:
        assert code_of(await accept(guest, token, name="G")) == (422, "password_needed")
        nameless = await accept(guest, token, password=NEWCOMER["password"])
        assert code_of(nameless) == (422, "password_needed")
        unfit = await accept(guest, token, name="G", password="password123")
        assert code_of(unfit) == (422, "unfit_password")
        signed_in(guest, await accept(guest, token, **NEWCOMER))


async def test_a_link_is_used_once_also_by_many_at_once(
    owner: httpx.AsyncClient, database: Database
) -> None:
    token = await invited(owner)
    browsers = [another_browser(owner) for _ in range(5)]
    answers = await asyncio.gather(*(accept(guest, token, **NEWCOMER) for guest in browsers))
    for guest in browsers:
        await guest.aclose()
    refusals = {code_of(answer) for answer in answers if answer.status_code != 200}
    # Whoever comes too late finds the account that the first one has made, or the link used up.
    assert refusals <= {
        (404, "invitation_unusable"),
        (409, "email_taken"),
        (401, "wrong_credentials"),
    }
    assert len([answer for answer in answers if answer.status_code == 200]) == 1
    async with database.operator() as work:
        assert await work.connection.fetchval("SELECT count(*) FROM users") == 2


async def test_a_link_is_used_once_also_by_one_person_at_once(owner: httpx.AsyncClient) -> None:
    token = await invited(owner)
    browsers = [another_browser(owner) for _ in range(4)]
    await sign_up(browsers[0], GUEST)
    for browser in browsers[1:]:
        credentials = {"email": GUEST, "password": PASSWORD}
        signed_in(browser, await browser.post("/v1/sign-in", json=credentials))
    answers = await asyncio.gather(*(accept(browser, token) for browser in browsers))
    for browser in browsers:
        await browser.aclose()
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]
    assert await members(owner) == {"ada@example.com": "owner", GUEST: "editor"}


async def test_inviting_again_renews(owner: httpx.AsyncClient) -> None:
    first = await invited(owner)
    second = await invited(owner, "Guest@Example.ORG", "viewer")
    [open_one] = (await owner.get("/v1/invitations")).json()["items"]
    assert (open_one["email"], open_one["role"]) == (GUEST, "viewer")
    async with another_browser(owner) as guest:
        assert code_of(await accept(guest, first, **NEWCOMER)) == (404, "invitation_unusable")
        told = signed_in(guest, await accept(guest, second, **NEWCOMER))
    assert told["organization"]["role"] == "viewer"


async def test_two_who_invite_the_same_at_once_share_one_invitation(
    database: Database, scope: TenantScope
) -> None:
    ready = asyncio.Barrier(4)

    async def once() -> None:
        async with database.unit_of_work(scope) as work:
            await ready.wait()
            await invite(work, GUEST, Role.EDITOR)

    await asyncio.gather(*(once() for _ in range(4)))
    async with database.unit_of_work(scope) as work:
        page = await page_of_invitations(work, limit=100, cursor=None, secret=SECRET)
    assert [invitation.email for invitation in page.items] == [GUEST]


async def test_a_link_taken_back_or_expired_is_worth_nothing(
    owner: httpx.AsyncClient, database: Database
) -> None:
    token = await invited(owner)
    [open_one] = (await owner.get("/v1/invitations")).json()["items"]
    assert (await owner.delete(f"/v1/invitations/{open_one['id']}")).status_code == 204
    again = await owner.delete(f"/v1/invitations/{open_one['id']}")
    assert code_of(again) == (404, "invitation_not_found")
    expired = await invited(owner)
    async with database.operator() as work:
        await work.connection.execute("UPDATE invitations SET expires_at = now()")
    async with another_browser(owner) as guest:
        for worthless in (token, expired, "never one"):
            answer = await accept(guest, worthless, **NEWCOMER)
            assert code_of(answer) == (404, "invitation_unusable")
        signed_in(guest, await accept(guest, await invited(owner), **NEWCOMER))


async def test_a_member_is_not_invited(owner: httpx.AsyncClient) -> None:
    answer = await owner.post(
        "/v1/invitations", json={"email": "ADA@example.com", "role": "viewer"}
    )
    assert code_of(answer) == (409, "already_member")
    answer = await owner.post("/v1/invitations", json={"email": "no address", "role": "viewer"})
    assert code_of(answer) == (422, "invalid_email")


async def test_the_link_is_mailed_where_there_is_a_server(database: Database) -> None:
    with mail_server() as mails:
        settings: dict[str, Any] = {
            "smtp_url": f"smtp://127.0.0.1:{mails.port}",
            "mail_from": "Muniment <muniment@example.com>",
            "public_url": "http://test",
        }
        async with served(database, **settings) as owner:
            await sign_up(owner)
            sent = await owner.post("/v1/invitations", json={"email": GUEST, "role": "editor"})
            assert sent.json()["mailed"] is True
            url = sent.json()["accept_url"]
            assert url.startswith("http://test/accept-invitation#token=")
            [mail] = mails.kept
            assert mail["To"] == GUEST
            assert "Analysts" in mail["Subject"]
            assert url in mail.get_content()
            for _ in range(6):  # nobody's mailbox is flooded; the link is made all the same
                sent = await owner.post("/v1/invitations", json={"email": GUEST, "role": "editor"})
            assert sent.json()["mailed"] is False
            assert len(mails.kept) == 5


async def test_waiting_invitations_are_offered_to_a_verified_address(
    owner: httpx.AsyncClient, database: Database
) -> None:
    await invited(owner)
    await invited(owner, "other@example.org")
    async with another_browser(owner) as guest:
        await sign_up(guest, GUEST)
        assert (await guest.get("/v1/user/invitations")).json() == {"items": []}
        async with database.operator() as work:
            await work.connection.execute("UPDATE users SET email_verified_at = now()")
        [offered] = (await guest.get("/v1/user/invitations")).json()["items"]
        assert (offered["organization"], offered["role"]) == ("Analysts", "editor")
        answer = await guest.post(f"/v1/user/invitations/{offered['id']}/accept")
        assert signed_in(guest, answer)["organization"]["id"] == offered["organization_id"]
        again = await guest.post(f"/v1/user/invitations/{offered['id']}/accept")
        assert code_of(again) == (404, "invitation_unusable")
        for other in (await owner.get("/v1/invitations")).json()["items"]:
            answer = await guest.post(f"/v1/user/invitations/{other['id']}/accept")
            assert code_of(answer) == (404, "invitation_unusable")


async def test_nobody_invites_above_their_own_role(database: Database, scope: TenantScope) -> None:
    admin = await add_member(database, scope, Role.ADMIN)
    async with database.unit_of_work(admin) as work:
        with pytest.raises(NotAllowed):
            await invite(work, GUEST, Role.OWNER)
    async with database.unit_of_work(scope) as work:
        owners = (await invite(work, GUEST, Role.OWNER)).invitation
    async with database.unit_of_work(admin) as work:
        for attempt in (
            invite(work, GUEST, Role.VIEWER),
            revoke_invitation(work, owners.id),
        ):
            with pytest.raises(NotAllowed):
                await attempt


async def test_invitations_of_others_are_not_found(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    async with database.unit_of_work(other_scope) as work:
        theirs = (await invite(work, GUEST, Role.VIEWER)).invitation
    async with database.unit_of_work(scope) as work:
        with pytest.raises(InvitationNotFound):
            await revoke_invitation(work, theirs.id)
        page = await page_of_invitations(work, limit=100, cursor=None, secret=SECRET)
        assert page.items == []
        # The same address may be invited by both.
        await invite(work, GUEST, Role.VIEWER)


async def test_pages_are_newest_first_in_one_statement(
    database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        made = [
            (await invite(work, f"guest{n}@example.org", Role.VIEWER)).invitation.id
            for n in range(5)
        ]
    found, cursor = [], None
    with statements() as names:
        for _ in range(3):
            async with database.unit_of_work(scope) as work:
                page = await page_of_invitations(work, limit=2, cursor=cursor, secret=SECRET)
            found += [invitation.id for invitation in page.items]
            cursor = page.next_cursor
    assert (found, cursor) == (made[::-1], None)
    assert names == ["tenancy.members.list_invitations"] * 3


async def test_invitations_are_audited_without_their_secret(
    database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        fresh = await invite(work, GUEST, Role.VIEWER)
        await revoke_invitation(work, fresh.invitation.id)
    entries = await audited(database, scope)
    assert [entry["action"] for entry in entries] == ["invitation.created", "invitation.revoked"]
    assert fresh.token not in repr(entries)
    member = await add_member(database, scope, Role.VIEWER, GUEST)
    async with database.unit_of_work(member) as work:
        with pytest.raises(AlreadyMember):
            await invite(work, GUEST, Role.VIEWER)
