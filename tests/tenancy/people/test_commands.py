"""What `muniment admin create-user` and `reset-password` do, without their terminal."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from muniment.cli.people import create_member, make_reset_for, register
from muniment.db import Database, Role, TenantScope
from muniment.tenancy.people.errors import EmailTaken, InvalidEmail, UserNotFound, WrongCredentials
from muniment.tenancy.people.password_resets import complete_reset
from muniment.tenancy.people.people import People
from muniment.tenancy.people.schemas import CompleteReset
from tests.tenancy.people.conftest import CLIENT, PASSWORD, ada, come_back, log_of


async def test_creates_a_member_who_sets_a_password_by_link(
    people: People, database: Database, scope: TenantScope
) -> None:
    token = await create_member(database, scope, "Bob@example.com", None, Role.ADMIN)
    with pytest.raises(WrongCredentials):
        await come_back(people, "", email="bob@example.com")
    await complete_reset(people, CompleteReset(token, PASSWORD), CLIENT)
    told = (await come_back(people, email="bob@example.com")).told()
    assert told.user.name == "bob"
    assert told.organization is not None
    assert (told.organization.id, told.organization.role) == (scope.org_id, Role.ADMIN)
    assert ("test", "member.joined") in await log_of(database, scope.org_id)


async def test_does_not_create_somebody_twice(
    people: People, database: Database, scope: TenantScope
) -> None:
    await ada(people)
    with pytest.raises(EmailTaken):
        await create_member(database, scope, "ada@example.com", "Ada", Role.OWNER)
    with pytest.raises(InvalidEmail):
        await create_member(database, scope, "ada", "Ada", Role.OWNER)
    async with database.unit_of_work(scope) as work:
        assert await work.connection.fetchval("SELECT count(*) FROM members") == 0


async def test_resets_a_password(people: People, database: Database) -> None:
    await ada(people)
    token = await make_reset_for(database, " ADA@example.com")
    await complete_reset(people, CompleteReset(token, "copper kettle harbour"), CLIENT)
    await come_back(people, "copper kettle harbour")
    with pytest.raises(UserNotFound):
        await make_reset_for(database, "nobody@example.com")


def test_the_commands_are_there() -> None:
    app = typer.Typer()
    register(app)
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "create-user" in shown
    assert "reset-password" in shown
