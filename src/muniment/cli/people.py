"""`muniment admin create-user` and `reset-password`: for installations that send no mail."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from muniment.cli.runtime import (
    console,
    local_session,
    notes,
    one_sentence_errors,
    open_database,
    print_json,
    run,
)
from muniment.db import Database, Role, TenantScope, UserId, new_id
from muniment.db.installation import ready_installation
from muniment.settings import Settings, load_settings
from muniment.tenancy.audit.record import record
from muniment.tenancy.people.addresses import normalise_email
from muniment.tenancy.people.errors import UserNotFound
from muniment.tenancy.people.password_resets import LIFETIME, make_reset, reset_link
from muniment.tenancy.people.sign_up import join
from muniment.tenancy.people.users import create_user, find_user


def register(app: typer.Typer) -> None:
    """Add the commands to the group `admin`."""
    app.command("create-user")(create_user_command)
    app.command("reset-password")(reset_password_command)


def create_user_command(
    email: Annotated[str, typer.Argument(help="E-mail address to sign in with.")],
    name: Annotated[str | None, typer.Option(help="What others call the person.")] = None,
    organization: Annotated[
        str | None, typer.Option(help="Organization, when there are several.")
    ] = None,
    role: Annotated[Role, typer.Option(help="What the person may do.")] = Role.EDITOR,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Make a person a member and print the link that sets their password, this once."""
    settings = load_settings()
    with one_sentence_errors():
        token = run(_create(settings, email, name, organization, role))
    _print_link(settings, token, json=json)


def reset_password_command(
    email: Annotated[str, typer.Argument(help="E-mail address of the account.")],
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Print a link that sets a person's password, this once."""
    settings = load_settings()
    with one_sentence_errors():
        token = run(_reset(settings, email))
    _print_link(settings, token, json=json)


def _print_link(settings: Settings, token: str, *, json: bool) -> None:
    link = reset_link(settings, token)
    minutes = round(LIFETIME.total_seconds() / 60)
    if json:
        print_json({"link": link, "token": token, "minutes": minutes})
        return
    notes.print(f"Hand this link over in person. It works once, for {minutes} minutes:")
    console.print(link, highlight=False, soft_wrap=True)


async def _create(
    settings: Settings, email: str, name: str | None, organization: str | None, role: Role
) -> str:
    async with local_session(settings, organization) as local:
        return await create_member(local.database, local.scope, email, name, role)


async def create_member(
    database: Database, scope: TenantScope, email: str, name: str | None, role: Role
) -> str:
    """Create a user without a password as a member, and return the token of a link to set one.

    Args:
        database: of this machine.
        scope: of who creates them, in the organization that they join.
        email: as it was typed.
        name: what others call the person; what stands before the @ if left out.
        role: of the member.

    Raises:
        InvalidEmail: it is no address.
        EmailTaken: there is such a user; an invitation makes them a member.
    """
    email = normalise_email(email)
    name = name or email.partition("@")[0]
    user_id = UserId(new_id())
    async with database.unit_of_work(replace(scope, user_id=user_id)) as work:
        # Whoever runs this command on the machine answers for the address.
        await create_user(work, email, name, None, email_verified=True)
        await join(work, user_id, email, name, role)
        await record(
            work,
            "member.joined",
            target_type="member",
            target_id=str(user_id),
            after={"email": email, "role": role},
        )
        return await make_reset(work, user_id)


async def _reset(settings: Settings, email: str) -> str:
    with ready_installation(settings) as target:
        async with open_database(target, settings) as database:
            return await make_reset_for(database, email)


async def make_reset_for(database: Database, email: str) -> str:
    """Return the token of a link that sets the password of an account.

    Raises:
        InvalidEmail: it is no address.
        UserNotFound: there is no such user.
    """
    async with database.single_statement() as lender:
        user = await find_user(lender, normalise_email(email))
    if user is None:
        raise UserNotFound
    async with database.person(user.user_id) as work:
        return await make_reset(work, user.user_id)
