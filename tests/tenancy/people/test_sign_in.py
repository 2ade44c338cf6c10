from __future__ import annotations

import asyncio

import pytest
from argon2 import PasswordHasher

from muniment.cache.limits import RateLimiter
from muniment.db import Database, OrgId, Role, TenantScope, new_id, observe_statements
from muniment.tenancy.errors import OrganizationNotFound
from muniment.tenancy.people.errors import TooManyAttempts, WrongCredentials
from muniment.tenancy.people.people import People
from muniment.tenancy.people.schemas import SignIn
from muniment.tenancy.people.sign_in import sign_in
from muniment.tenancy.people.signed_in import Client
from tests.conftest import make_organization
from tests.tenancy.people.conftest import (
    CLIENT,
    PASSWORD,
    Opening,
    ada,
    come_back,
    log_of,
    tokens,
)


async def add_member(database: Database, user_id: object, organization: str) -> OrgId:
    """Make somebody a viewer of another organization."""
    scope = await make_organization(database, organization)
    async with database.unit_of_work(scope) as work:
        await work.connection.execute(
            "INSERT INTO members (org_id, user_id, email, name, role)"
            " VALUES ($1, $2, 'ada@example.com', 'Ada', 'viewer')",
            scope.org_id,
            user_id,
        )
    return scope.org_id


async def refused(people: People, password: str = "wrong lantern tide", **of: str) -> None:
    with pytest.raises(WrongCredentials):
        await come_back(people, password, **of)


async def test_opens_a_new_session_each_time(people: People, database: Database) -> None:
    first = await ada(people)
    second, third = await come_back(people), await come_back(people, email=" ADA@example.com ")
    assert len({first.session.token, second.session.token, third.session.token}) == 3
    assert len(await tokens(database, first)) == 3
    assert second.told().organization == first.told().organization
    assert second.session.csrf_token != third.session.csrf_token


async def test_the_token_has_256_bits_and_is_kept_as_a_hash_only(
    people: People, database: Database
) -> None:
    signed_in = await ada(people)
    assert len(signed_in.session.token) == 43
    async with database.person(signed_in.user_id) as work:
        row = await work.connection.fetchrow("SELECT sessions::text FROM sessions")
    assert signed_in.session.token not in row["sessions"]


async def test_wrong_password_and_unknown_address_are_told_and_cost_the_same(
    people: People,
) -> None:
    await ada(people)
    costs = []
    for email in ("ada@example.com", "nobody@example.com", "no address", "\x00"):
        ran: list[str] = []
        before = people.passwords.verifications
        with observe_statements(lambda name, _seconds, _error, ran=ran: ran.append(name)):
            with pytest.raises(WrongCredentials) as error:
                await come_back(people, "wrong lantern tide", email=email)
            # What the audit log is told comes after the answer.
            costs.append((people.passwords.verifications - before, tuple(ran), error.value.detail))
            await people.after_answer.finish()
    assert costs[1:] == costs[:1] * 3
    assert costs[0][:2] == (1, ("tenancy.people.find_user",))


async def test_an_account_without_a_password_cannot_be_signed_in_to(
    people: People, database: Database
) -> None:
    signed_in = await ada(people)
    async with database.person(signed_in.user_id) as work:
        await work.connection.execute("UPDATE users SET password_hash = NULL")
    before = people.passwords.verifications
    await refused(people, PASSWORD)
    assert people.passwords.verifications == before + 1


async def test_the_account_is_throttled_wherever_the_attempts_come_from(opening: Opening) -> None:
    async with opening(sign_in_attempts_per_account=3, sign_in_attempts_per_address=100) as people:
        await ada(people)
        for number in range(3):
            with pytest.raises(WrongCredentials):
                await sign_in(
                    people,
                    SignIn("ada@example.com", "wrong lantern tide"),
                    Client(f"192.0.2.{number}", None),
                )
        with pytest.raises(TooManyAttempts) as error:
            await come_back(people)
        assert error.value.retry_after
        assert 0 < error.value.retry_after <= 1800
        # Others are not.
        await refused(people, email="bob@example.com")


async def test_an_unknown_account_is_throttled_as_a_known_one(opening: Opening) -> None:
    async with opening(sign_in_attempts_per_account=2) as people:
        for _ in range(2):
            await refused(people, email="nobody@example.com")
        with pytest.raises(TooManyAttempts):
            await come_back(people, email="nobody@example.com")


async def test_the_address_is_throttled_whatever_the_accounts(opening: Opening) -> None:
    async with opening(sign_in_attempts_per_address=3) as people:
        for number in range(3):
            await refused(people, email=f"nobody{number}@example.com")
        with pytest.raises(TooManyAttempts):
            await come_back(people, email="somebody@example.com")


@pytest.mark.parametrize(
    ("one", "another", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
    ],
)
async def test_whoever_has_many_addresses_of_one_network_counts_as_one(
    opening: Opening, one: str, another: str, same: bool
) -> None:
    given = SignIn("nobody@example.com", "wrong lantern tide")
    async with opening(sign_in_attempts_per_address=1) as people:
        with pytest.raises(WrongCredentials):
            await sign_in(people, given, Client(one, None))
        with pytest.raises(TooManyAttempts if same else WrongCredentials):
            await sign_in(people, given, Client(another, None))


async def test_many_at_once_do_not_slip_through_the_throttle(opening: Opening) -> None:
    async with opening(sign_in_attempts_per_account=3) as people:
        await ada(people)
        results = await asyncio.gather(
            *(come_back(people, "wrong lantern tide") for _ in range(8)), return_exceptions=True
        )
        assert people.passwords.verifications == 3
    assert sorted(type(result).__name__ for result in results) == (
        ["TooManyAttempts"] * 5 + ["WrongCredentials"] * 3
    )


async def test_success_forgets_the_failures_of_the_account(opening: Opening) -> None:
    async with opening(sign_in_attempts_per_account=3) as people:
        await ada(people)
        for _ in range(2):
            await refused(people)
            await refused(people)
            await come_back(people)


async def test_successes_do_not_count_for_the_address(opening: Opening) -> None:
    async with opening(sign_in_attempts_per_address=2) as people:
        await ada(people)
        for _ in range(4):
            await come_back(people)


async def test_processes_share_what_they_count(opening: Opening) -> None:
    limiter = RateLimiter.in_memory()
    async with (
        opening(limiter=limiter, sign_in_attempts_per_account=1) as one,
        opening(limiter=limiter, sign_in_attempts_per_account=1) as other,
    ):
        await refused(one)
        with pytest.raises(TooManyAttempts):
            await come_back(other)


async def test_chooses_the_organization(people: People, database: Database) -> None:
    signed_in = await ada(people)
    other = await add_member(database, signed_in.user_id, "Theirs")
    chosen = (
        await sign_in(people, SignIn("ada@example.com", PASSWORD, organization_id=other), CLIENT)
    ).told()
    assert chosen.organization is not None
    assert (chosen.organization.id, chosen.organization.role) == (other, Role.VIEWER)
    assert {one.id for one in chosen.organizations} == {signed_in.org_id, other}
    assert (await come_back(people)).org_id == signed_in.org_id


async def test_refuses_an_organization_that_the_person_is_not_in(
    people: People, database: Database, other_scope: TenantScope
) -> None:
    signed_in = await ada(people)
    for org_id in (other_scope.org_id, new_id()):
        with pytest.raises(OrganizationNotFound):
            await sign_in(people, SignIn("ada@example.com", PASSWORD, org_id), CLIENT)
    assert len(await tokens(database, signed_in)) == 1


async def test_somebody_in_no_organization_can_sign_in(people: People, database: Database) -> None:
    signed_in = await ada(people)
    async with database.operator() as work:
        await work.connection.execute("DELETE FROM organizations")
    told = (await come_back(people)).told()
    assert (told.user.id, told.organization, told.organizations) == (signed_in.user_id, None, [])


async def test_success_and_failure_are_in_the_audit_log(people: People, database: Database) -> None:
    signed_in = await ada(people)
    await refused(people)
    await people.after_answer.finish()
    await come_back(people)
    assert (await log_of(database, signed_in.org_id))[-2:] == [
        ("anyone", "session.refused"),
        (f"user:{signed_in.user_id}", "session.started"),
    ]


async def test_a_failure_is_not_noted_where_the_person_is_not_a_member(
    people: People, database: Database, other_scope: TenantScope
) -> None:
    await ada(people)
    with pytest.raises(WrongCredentials):
        await sign_in(
            people, SignIn("ada@example.com", "wrong lantern tide", other_scope.org_id), CLIENT
        )
    await people.after_answer.finish()
    assert await log_of(database, other_scope.org_id) == []


async def test_a_hash_of_old_parameters_is_renewed(people: People, database: Database) -> None:
    signed_in = await ada(people)
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    async with database.person(signed_in.user_id) as work:
        await work.connection.execute("UPDATE users SET password_hash = $1", old)
    await refused(people)
    assert await kept_by(database, signed_in.user_id) == old
    await come_back(people)
    renewed = await kept_by(database, signed_in.user_id)
    assert not people.passwords.is_outdated(renewed)
    await come_back(people)
    assert await kept_by(database, signed_in.user_id) == renewed


async def kept_by(database: Database, user_id: object) -> str:
    async with database.person(user_id) as work:  # type: ignore[arg-type]
        kept: str = await work.connection.fetchval("SELECT password_hash FROM users")
    return kept
