from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from muniment.db import Database, new_id
from muniment.db.cursors import InvalidCursor
from muniment.tenancy.errors import OrganizationNotFound, SessionEnded
from muniment.tenancy.people import account
from muniment.tenancy.people.errors import SessionNotFound
from muniment.tenancy.people.people import People
from muniment.tenancy.people.sessions import (
    MOST_SESSIONS,
    SessionPage,
    end_all_sessions,
    list_sessions,
    open_session,
    purge_expired,
)
from muniment.tenancy.people.signed_in import SignedInUser, describe_session
from muniment.tenancy.secrets import hash_of
from tests.tenancy.people.conftest import ada, come_back, log_of, person_of, tokens
from tests.tenancy.people.test_sign_in import add_member


def heard(database: Database) -> list[frozenset[str]]:
    """Collect what commits announce from now on."""
    announced: list[frozenset[str]] = []

    async def observe(tags: frozenset[str]) -> None:
        announced.append(tags)

    database.after_commit.append(observe)
    return announced


def tag_of(signed_in: SignedInUser) -> str:
    return f"{hash_of(signed_in.session.token).hex()}/session"


async def page(people: People, of: SignedInUser, **asked: object) -> SessionPage:
    async with people.database.person(of.user_id) as work:
        return await list_sessions(
            work,
            of.user_id,
            of.session.session_id,
            terms=people.terms,
            limit=asked.get("limit", 50),  # type: ignore[arg-type]
            cursor=asked.get("cursor"),  # type: ignore[arg-type]
        )


async def age(database: Database, of: SignedInUser, column: str, by: str) -> None:
    """Make a session look as if it were older than it is."""
    async with database.person(of.user_id) as work:
        await work.connection.execute(
            f"UPDATE sessions SET {column} = {column} - interval '{by}' WHERE session_id = $1",
            of.session.session_id,
        )


async def test_ends_at_the_absolute_time(people: People) -> None:
    signed_in = await ada(people)
    left = signed_in.session.expires_at - datetime.now(UTC)
    assert timedelta(days=30) - timedelta(minutes=1) < left <= timedelta(days=30)


async def test_signing_out_ends_one_session_and_tells_every_process(
    people: People, database: Database
) -> None:
    first, second = await ada(people), await come_back(people)
    announced = heard(database)
    await account.sign_out(people, person_of(second), second.session.session_id)
    assert announced == [frozenset({tag_of(second)})]
    assert await tokens(database, first) == {hash_of(first.session.token)}
    assert (await log_of(database, first.org_id))[-1][1] == "session.ended"
    with pytest.raises(SessionNotFound):
        await account.sign_out(people, person_of(second), second.session.session_id)


async def test_nobody_ends_the_session_of_somebody_else(people: People, database: Database) -> None:
    first, other = await ada(people), await ada(people, email="bob@example.com")
    with pytest.raises(SessionNotFound):
        await account.sign_out(people, person_of(other), first.session.session_id)
    assert len(await tokens(database, first)) == 1


async def test_signing_out_everywhere_ends_all(people: People, database: Database) -> None:
    first, second = await ada(people), await come_back(people)
    other = await ada(people, email="bob@example.com")
    announced = heard(database)
    await account.sign_out_everywhere(people, person_of(first))
    assert announced == [frozenset({tag_of(first), tag_of(second)})]
    assert await tokens(database, first) == set()
    assert len(await tokens(database, other)) == 1


async def test_all_but_one_can_be_ended(people: People, database: Database) -> None:
    first, second = await ada(people), await come_back(people)
    async with database.person(first.user_id) as work:
        ended = await end_all_sessions(work, first.user_id, keep=second.session.session_id)
    assert ended == 1
    assert await tokens(database, first) == {hash_of(second.session.token)}


async def test_lists_sessions_newest_first_in_pages(people: People) -> None:
    signed_in = [await ada(people), await come_back(people), await come_back(people)]
    last = signed_in[-1]
    first_page = await page(people, last, limit=2)
    rest = await page(people, last, limit=2, cursor=first_page.next_cursor)
    items = first_page.items + rest.items
    assert [item.id for item in items] == [one.session.session_id for one in reversed(signed_in)]
    assert [item.current for item in items] == [True, False, False]
    assert (items[0].address, items[0].user_agent) == ("192.0.2.7", "a test")
    assert items[0].organization_id == last.org_id
    assert rest.next_cursor is None
    with pytest.raises(InvalidCursor):
        await page(people, last, cursor="made-up")


@pytest.mark.parametrize(
    ("column", "by"), [("expires_at", "31 days"), ("last_seen_at", "73 hours")]
)
async def test_ended_sessions_are_not_listed_and_are_purged(
    people: People, database: Database, column: str, by: str
) -> None:
    old, current = await ada(people), await come_back(people)
    await age(database, old, column, by)
    assert [item.id for item in (await page(people, current)).items] == [current.session.session_id]
    assert await purge_expired(database, people.terms) == 1
    assert await tokens(database, current) == {hash_of(current.session.token)}
    assert await purge_expired(database, people.terms) == 0


async def test_a_purge_goes_on_until_nothing_is_left(people: People, database: Database) -> None:
    signed_in = await ada(people)
    async with database.person(signed_in.user_id) as work:
        await work.connection.execute(
            "INSERT INTO sessions (user_id, session_id, token_hash, expires_at)"
            " SELECT $1, gen_random_uuid(), sha256(number::text::bytea), now() - interval '1 day'"
            " FROM generate_series(1, 2500) AS number",
            signed_in.user_id,
        )
    assert await purge_expired(database, people.terms) == 2500


async def test_the_number_of_sessions_is_bounded(people: People, database: Database) -> None:
    signed_in = await ada(people)
    announced = heard(database)
    for _ in range(MOST_SESSIONS):
        async with database.person(signed_in.user_id) as work:
            await open_session(
                work,
                signed_in.user_id,
                terms=people.terms,
                org_id=None,
                address=None,
                user_agent="x" * 1000,
            )
    kept = await tokens(database, signed_in)
    assert len(kept) == MOST_SESSIONS
    assert hash_of(signed_in.session.token) not in kept
    assert announced == [frozenset({tag_of(signed_in)})]


async def test_switches_among_own_organizations_only(people: People, database: Database) -> None:
    signed_in, bob = await ada(people), await ada(people, email="bob@example.com")
    person = person_of(signed_in)
    other = await add_member(database, signed_in.user_id, "Theirs")
    announced = heard(database)
    await account.switch_organization(people, person, other)
    assert announced == [frozenset({tag_of(signed_in)})]
    told = await describe_session(database, person, people.terms)
    assert told.organization is not None
    assert told.organization.id == other
    assert (await log_of(database, other)) == [(f"user:{person.user_id}", "session.started")]
    for org_id in (bob.org_id, new_id()):
        with pytest.raises(OrganizationNotFound):
            await account.switch_organization(people, person, org_id)  # type: ignore[arg-type]
    assert bob.org_id is not None
    assert "session.started" not in [action for _, action in await log_of(database, bob.org_id)]


async def test_describes_what_it_said_at_sign_in(people: People, database: Database) -> None:
    signed_in = await ada(people)
    assert await describe_session(database, person_of(signed_in), people.terms) == signed_in.told()
    await account.sign_out_everywhere(people, person_of(signed_in))
    with pytest.raises(SessionEnded):
        await describe_session(database, person_of(signed_in), people.terms)


async def test_a_removed_member_is_in_no_organization(people: People, database: Database) -> None:
    signed_in = await ada(people)
    other = await add_member(database, signed_in.user_id, "Theirs")
    person = person_of(signed_in)
    await account.switch_organization(people, person, other)
    async with database.operator() as work:
        await work.connection.execute("DELETE FROM members WHERE org_id = $1", other)
    told = await describe_session(database, person, people.terms)
    assert told.organization is None
    assert [one.id for one in told.organizations] == [signed_in.org_id]
    # What they do to their account is nothing for that organization's log any more.
    before = await log_of(database, other)
    await account.sign_out(people, replace(person, org_id=other), person.session_id)
    assert await log_of(database, other) == before
