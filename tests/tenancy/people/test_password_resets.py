from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from structlog.testing import capture_logs

from muniment.db import Database, observe_statements
from muniment.settings import Settings
from muniment.tenancy.people.errors import (
    InvalidEmail,
    InvalidResetToken,
    TooManyAttempts,
    UnfitPassword,
    WrongCredentials,
)
from muniment.tenancy.people.password_resets import (
    complete_reset,
    make_reset,
    request_reset,
    reset_link,
)
from muniment.tenancy.people.people import People
from muniment.tenancy.people.schemas import CompleteReset
from muniment.tenancy.people.sessions import purge_expired
from muniment.tenancy.people.signed_in import SignedInUser
from muniment.tenancy.people.users import find_user
from tests.tenancy.people.conftest import (
    CLIENT,
    Opening,
    ada,
    come_back,
    log_of,
    tokens,
)
from tests.tenancy.people.mail_server import Mails, mail_server
from tests.tenancy.people.test_sessions import heard, tag_of

NEW = "copper kettle harbour"
SITE = "https://muniment.example.com"


@pytest.fixture
def mails() -> Iterator[Mails]:
    with mail_server() as mails:
        yield mails


@pytest.fixture
async def mailing(opening: Opening, mails: Mails) -> AsyncIterator[People]:
    async with opening(
        smtp_url=f"smtp://{mails.host}:{mails.port}",
        mail_from="m@example.com",
        public_url=f"{SITE}/",
    ) as people:
        yield people


async def link_for(database: Database, of: SignedInUser) -> str:
    async with database.person(of.user_id) as work:
        return await make_reset(work, of.user_id)


def token_in(text: str) -> str:
    found = re.search(rf"^{SITE}/reset-password#token=([\w-]{{43}})$", text, re.MULTILINE)
    assert found is not None
    return found[1]


async def test_a_mail_brings_a_link_that_sets_the_password(
    mailing: People, mails: Mails, database: Database
) -> None:
    signed_in = await ada(mailing)
    await request_reset(mailing, " ADA@example.com", CLIENT)
    await mailing.after_answer.finish()
    (message,) = mails.kept
    assert message["To"] == "ada@example.com"
    announced = heard(database)
    await complete_reset(mailing, CompleteReset(token_in(message.get_content()), NEW), CLIENT)
    assert announced == [frozenset({tag_of(signed_in)})]
    assert await tokens(database, signed_in) == set()
    with pytest.raises(WrongCredentials):
        await come_back(mailing)
    await come_back(mailing, NEW)
    assert "password.changed" in [action for _, action in await log_of(database, signed_in.org_id)]


async def test_using_a_link_shows_that_the_address_is_right(
    people: People, database: Database
) -> None:
    signed_in = await ada(people)
    token = await link_for(database, signed_in)
    await complete_reset(people, CompleteReset(token, NEW), CLIENT)
    async with database.single_statement() as work:
        user = await find_user(work, "ada@example.com")
    assert user is not None
    assert user.email_verified


async def test_an_unknown_account_is_answered_alike_and_sent_nothing(
    mailing: People, mails: Mails
) -> None:
    await ada(mailing)
    for email in ("ada@example.com", "nobody@example.com"):
        ran: list[str] = []
        with observe_statements(lambda name, _seconds, _error, ran=ran: ran.append(name)):
            await request_reset(mailing, email, CLIENT)
            # Nothing is looked up before the answer.
            assert ran == []
    await mailing.after_answer.finish()
    assert [message["To"] for message in mails.kept] == ["ada@example.com"]


async def test_a_mail_that_fails_is_logged_without_the_link(mailing: People, mails: Mails) -> None:
    await ada(mailing)
    mails.answer = "554 no"
    with capture_logs() as logs:
        await request_reset(mailing, "ada@example.com", CLIENT)
        await mailing.after_answer.finish()
    assert [line["event"] for line in logs] == ["mail_not_sent"]
    assert "token" not in str(logs)


async def test_without_a_mail_server_nothing_is_made(people: People, database: Database) -> None:
    await ada(people)
    await request_reset(people, "ada@example.com", CLIENT)
    await people.after_answer.finish()
    async with database.operator() as work:
        assert await work.connection.fetchval("SELECT count(*) FROM password_resets") == 0


async def test_mails_to_an_account_are_throttled(mailing: People, mails: Mails) -> None:
    await ada(mailing)
    for email in ("ada@example.com", "nobody@example.com"):
        for _ in range(5):
            await request_reset(mailing, email, CLIENT)
        with pytest.raises(TooManyAttempts):
            await request_reset(mailing, email, CLIENT)
    await mailing.after_answer.finish()
    assert len(mails.kept) == 5


async def test_requests_from_an_address_are_throttled(opening: Opening) -> None:
    async with opening(sign_in_attempts_per_address=2) as people:
        for number in range(2):
            await request_reset(people, f"nobody{number}@example.com", CLIENT)
        with pytest.raises(TooManyAttempts):
            await request_reset(people, "nobody@example.com", CLIENT)
        with pytest.raises(InvalidEmail):
            await request_reset(people, "no address", CLIENT)


async def test_a_link_works_once(people: People, database: Database) -> None:
    token = await link_for(database, await ada(people))
    await complete_reset(people, CompleteReset(token, NEW), CLIENT)
    with pytest.raises(InvalidResetToken):
        await complete_reset(people, CompleteReset(token, f"{NEW} two"), CLIENT)
    await come_back(people, NEW)


async def test_of_two_who_use_a_link_at_once_one_wins(people: People, database: Database) -> None:
    token = await link_for(database, await ada(people))
    results = await asyncio.gather(
        *(complete_reset(people, CompleteReset(token, f"{NEW} {n}"), CLIENT) for n in range(2)),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["InvalidResetToken", "NoneType"]
    await come_back(people, f"{NEW} {results.index(None)}")


async def test_a_used_link_makes_the_others_worthless(people: People, database: Database) -> None:
    signed_in = await ada(people)
    first, second = await link_for(database, signed_in), await link_for(database, signed_in)
    await complete_reset(people, CompleteReset(first, NEW), CLIENT)
    with pytest.raises(InvalidResetToken):
        await complete_reset(people, CompleteReset(second, f"{NEW} two"), CLIENT)


async def test_a_link_is_good_for_an_hour(people: People, database: Database) -> None:
    signed_in = await ada(people)
    token = await link_for(database, signed_in)
    async with database.person(signed_in.user_id) as work:
        await work.connection.execute(
            "UPDATE password_resets SET expires_at = expires_at - interval '1 hour'"
        )
    with pytest.raises(InvalidResetToken):
        await complete_reset(people, CompleteReset(token, NEW), CLIENT)
    assert await purge_expired(database, people.terms) == 1
    await come_back(people)


async def test_an_unfit_password_leaves_the_link_good(people: People, database: Database) -> None:
    token = await link_for(database, await ada(people))
    for password in ("short", "ada@example.com", "password123"):
        with pytest.raises(UnfitPassword):
            await complete_reset(people, CompleteReset(token, password), CLIENT)
    await complete_reset(people, CompleteReset(token, NEW), CLIENT)


async def test_a_made_up_token_costs_no_hashing(people: People) -> None:
    await ada(people)
    with pytest.raises(InvalidResetToken):
        await complete_reset(people, CompleteReset("made-up", NEW), CLIENT)


async def test_a_reset_opens_an_account_that_guessing_had_closed(
    opening: Opening, database: Database
) -> None:
    async with opening(sign_in_attempts_per_account=1) as people:
        signed_in = await ada(people)
        with pytest.raises(WrongCredentials):
            await come_back(people, "wrong lantern tide")
        with pytest.raises(TooManyAttempts):
            await come_back(people)
        token = await link_for(database, signed_in)
        await complete_reset(people, CompleteReset(token, NEW), CLIENT)
        await come_back(people, NEW)


async def test_the_token_is_kept_as_a_hash_only(people: People, database: Database) -> None:
    token = await link_for(database, await ada(people))
    async with database.operator() as work:
        row = await work.connection.fetchval("SELECT password_resets::text FROM password_resets")
    assert token not in row


def test_the_link_holds_its_token_where_no_log_sees_it() -> None:
    settings = Settings(_env_file=None, host="127.0.0.1", port=8642)  # type: ignore[call-arg]
    assert reset_link(settings, "t") == "http://127.0.0.1:8642/reset-password#token=t"
