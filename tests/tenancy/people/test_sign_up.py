from __future__ import annotations

import asyncio

import pytest

from muniment.db import Database, Role, TenantScope
from muniment.tenancy.people.errors import (
    EmailTaken,
    InvalidEmail,
    SignUpClosed,
    TooManyAttempts,
    UnfitPassword,
)
from muniment.tenancy.people.people import People
from muniment.tenancy.people.schemas import SignUp
from muniment.tenancy.people.sign_up import sign_up
from tests.tenancy.people.conftest import CLIENT, PASSWORD, Opening, ada, log_of, tokens


async def test_makes_a_user_who_owns_an_organization_and_is_signed_in(
    people: People, database: Database
) -> None:
    signed_in = await sign_up(
        people, SignUp(" Ada@Example.COM", PASSWORD, " Ada ", "Analysts "), CLIENT
    )
    told = signed_in.told()
    assert (told.user.email, told.user.name) == ("ada@example.com", "Ada")
    assert told.organization is not None
    assert (told.organization.name, told.organization.role) == ("Analysts", Role.OWNER)
    assert told.organizations == [told.organization]
    assert len(await tokens(database, signed_in)) == 1
    assert signed_in.org_id is not None
    scope = TenantScope(signed_in.org_id, None, "test", Role.OWNER)
    async with database.unit_of_work(scope) as work:
        assert await work.connection.fetchval("SELECT tier FROM organizations") == "free"
        assert await work.connection.fetchval("SELECT name FROM workspaces") == "default"
        member = await work.connection.fetchrow("SELECT email, name, role FROM members")
        assert tuple(member) == ("ada@example.com", "Ada", "owner")
    actions = [action for _, action in await log_of(database, signed_in.org_id)]
    assert actions == ["organization.created", "member.joined"]


async def test_the_password_is_kept_as_a_hash_only(people: People, database: Database) -> None:
    signed_in = await ada(people)
    async with database.person(signed_in.user_id) as work:
        row = await work.connection.fetchrow("SELECT password_hash, email_verified_at FROM users")
    assert row["password_hash"].startswith("$argon2id$v=19$m=32768,t=2,p=1$")
    assert row["email_verified_at"] is None


async def test_a_taken_address_is_refused_and_changes_nothing(
    people: People, database: Database
) -> None:
    first = await ada(people)
    with pytest.raises(EmailTaken):
        await sign_up(people, SignUp("ADA@example.com", "another fine one", "Eve", "E"), CLIENT)
    async with database.operator() as work:
        assert await work.connection.fetchval("SELECT count(*) FROM organizations") == 1
    assert len(await tokens(database, first)) == 1


async def test_of_two_at_once_one_wins(people: People, database: Database) -> None:
    results = await asyncio.gather(*(ada(people) for _ in range(2)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["EmailTaken", "SignedInUser"]
    async with database.operator() as work:
        assert await work.connection.fetchval("SELECT count(*) FROM organizations") == 1


async def test_can_be_closed(opening: Opening) -> None:
    async with opening(sign_up=False) as people:
        with pytest.raises(SignUpClosed):
            await ada(people)


async def test_is_throttled_by_address(opening: Opening) -> None:
    async with opening(sign_in_attempts_per_address=2) as people:
        await ada(people)
        with pytest.raises(EmailTaken):
            await ada(people)
        with pytest.raises(TooManyAttempts) as refused:
            await ada(people, email="bob@example.com")
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 1800


@pytest.mark.parametrize(
    "email", ["ada", "ada@", "a da@example.com", "ada@exa mple.com", "@", "\x00"]
)
async def test_what_is_no_address_is_refused(people: People, email: str) -> None:
    with pytest.raises(InvalidEmail) as refused:
        await ada(people, email=email)
    assert refused.value.errors[0]["pointer"] == "#/email"


@pytest.mark.parametrize(
    "email", ["ada@corp.local", "ada@intranet", "äda@bücher.example", "ada+x@example.com"]
)
async def test_addresses_of_all_kinds_are_kept(people: People, email: str) -> None:
    assert (await ada(people, email=email)).email == email


async def test_every_letter_is_lower_case_to_postgres_too(database: Database) -> None:
    """Else the address of somebody would be refused by the table, and be an error of ours."""
    letters = [chr(code) for code in range(0x250) if chr(code).isalpha()]
    async with database.system() as work:
        changed = await work.connection.fetch(
            "SELECT letter FROM unnest($1::text[]) AS letter WHERE lower(letter) <> letter",
            [letter.lower() for letter in letters],
        )
    assert changed == []


async def test_a_password_that_is_easily_guessed_is_refused(people: People) -> None:
    with pytest.raises(UnfitPassword):
        await sign_up(people, SignUp("ada@example.com", "password123", "Ada", "A"), CLIENT)
