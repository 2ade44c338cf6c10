from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from muniment.db import Database, Role, TenantScope
from muniment.tenancy.people import account
from muniment.tenancy.people.errors import (
    InvalidResetToken,
    TooManyAttempts,
    UnfitPassword,
    WrongCredentials,
    WrongPassword,
)
from muniment.tenancy.people.password_resets import complete_reset, make_reset
from muniment.tenancy.people.people import People
from muniment.tenancy.people.schemas import ChangePassword, CompleteReset
from muniment.tenancy.secrets import hash_of
from tests.tenancy.people.conftest import (
    CLIENT,
    PASSWORD,
    Opening,
    ada,
    come_back,
    log_of,
    person_of,
    tokens,
)
from tests.tenancy.people.test_sessions import heard, tag_of
from tests.tenancy.people.test_sign_in import add_member

NEW = "copper kettle harbour"


async def test_changes_the_password_and_ends_the_other_sessions(
    people: People, database: Database
) -> None:
    other, current = await ada(people), await come_back(people)
    announced = heard(database)
    await account.change_password(people, person_of(current), ChangePassword(PASSWORD, NEW))
    assert announced == [frozenset({tag_of(other)})]
    assert await tokens(database, current) == {hash_of(current.session.token)}
    assert (await log_of(database, current.org_id))[-1][1] == "password.changed"
    with pytest.raises(WrongCredentials):
        await come_back(people)
    await come_back(people, NEW)


async def test_the_current_password_must_be_right_and_is_throttled(opening: Opening) -> None:
    async with opening(sign_in_attempts_per_account=3) as people:
        signed_in = await ada(people)
        for _ in range(3):
            with pytest.raises(WrongPassword):
                await account.change_password(
                    people, person_of(signed_in), ChangePassword("wrong lantern", NEW)
                )
        with pytest.raises(TooManyAttempts):
            await account.change_password(
                people, person_of(signed_in), ChangePassword(PASSWORD, NEW)
            )


async def test_the_new_password_must_be_fit(people: People) -> None:
    signed_in = await ada(people)
    with pytest.raises(UnfitPassword) as refused:
        await account.change_password(
            people, person_of(signed_in), ChangePassword(PASSWORD, "ada@example.com")
        )
    assert refused.value.errors[0]["pointer"] == "#/new_password"
    await come_back(people)


async def test_of_two_changes_at_once_one_wins(people: People) -> None:
    person = person_of(await ada(people))
    results = await asyncio.gather(
        account.change_password(people, person, ChangePassword(PASSWORD, NEW)),
        account.change_password(people, person, ChangePassword(PASSWORD, f"{NEW} two")),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "WrongPassword"]


async def test_a_change_makes_links_worthless(people: People, database: Database) -> None:
    signed_in = await ada(people)
    async with database.person(signed_in.user_id) as work:
        token = await make_reset(work, signed_in.user_id)
    await account.change_password(people, person_of(signed_in), ChangePassword(PASSWORD, NEW))
    with pytest.raises(InvalidResetToken):
        await complete_reset(people, CompleteReset(token, "yet another one"), CLIENT)


async def test_whoever_has_no_password_cannot_change_it(people: People, database: Database) -> None:
    signed_in = await ada(people)
    async with database.person(signed_in.user_id) as work:
        await work.connection.execute("UPDATE users SET password_hash = NULL")
    with pytest.raises(WrongPassword):
        await account.change_password(people, person_of(signed_in), ChangePassword("", NEW))


async def test_somebody_in_no_organization_changes_the_password(people: People) -> None:
    signed_in = await ada(people)
    nowhere = replace(person_of(signed_in), org_id=None)
    await account.change_password(people, nowhere, ChangePassword(PASSWORD, NEW))
    await come_back(people, NEW)


async def test_a_name_changes_in_every_organization(people: People, database: Database) -> None:
    signed_in = await ada(people)
    bob = await ada(people, email="bob@example.com")
    other = await add_member(database, signed_in.user_id, "Theirs")
    announced = heard(database)
    await account.change_name(people, person_of(signed_in), " Countess ")
    assert signed_in.org_id is not None
    member = f"member-{signed_in.user_id.hex}"
    assert announced == [
        frozenset(
            {
                tag_of(signed_in),
                f"{signed_in.org_id.hex}/members",
                f"{signed_in.org_id.hex}/{member}",
                f"{other.hex}/members",
                f"{other.hex}/{member}",
            }
        )
    ]
    for org_id in (signed_in.org_id, other):
        scope = TenantScope(org_id, None, "test", Role.OWNER)
        async with database.unit_of_work(scope) as work:
            assert await work.connection.fetchval("SELECT name FROM members") == "Countess"
    assert (await come_back(people)).name == "Countess"
    assert (await come_back(people, email="bob@example.com")).name == bob.name
