"""Users: who a person is, apart from any organization."""

from __future__ import annotations

from dataclasses import dataclass

from muniment.db import OrgId, Role, UnitOfWork, UserId, load_statements
from muniment.db.statements import HasConnection
from muniment.tenancy.people.errors import EmailTaken

statements = load_statements("muniment.tenancy.people")


@dataclass(frozen=True, slots=True)
class KnownUser:
    """A user as it is known to whoever must find out if it is the one who asks."""

    user_id: UserId
    email: str
    name: str
    password_hash: str | None
    """Argon2id in its own notation; None for somebody who has set none."""
    email_verified: bool
    """Whether the person has shown to receive mail under the address.

    An account with an unverified address may have been made by somebody else, who waits for its
    owner to come: never add another way of signing in to one (see `verify_email`).
    """


@dataclass(frozen=True, slots=True)
class Membership:
    """An organization that a user is a member of."""

    org_id: OrgId
    name: str
    role: Role


async def find_user(lender: HasConnection, email: str) -> KnownUser | None:
    """Return the user of a normalised e-mail address; works without a person or organization."""
    row = await statements.find_user(lender, email=email)
    if row is None:
        return None
    return KnownUser(
        UserId(row["user_id"]),
        email,
        row["name"],
        row["password_hash"],
        row["email_verified_at"] is not None,
    )


async def create_user(
    work: UnitOfWork, email: str, name: str, password_hash: str | None, *, email_verified: bool
) -> UserId:
    """Create the user whose id the transaction was opened with, and return that id.

    Open it with `database.person(UserId(new_id()))`, or with a scope that has such a `user_id`.
    Of two that create the same address at once one waits for the other, and is told.

    Args:
        work: transaction of the new person.
        email: normalised by `addresses.normalise_email`.
        name: what others call the person, at most 200 characters.
        password_hash: from `Passwords.hash`, or None for one who signs in elsewhere or who will
            set a password by a link.
        email_verified: see `KnownUser`.

    Raises:
        EmailTaken: there is a user with this address.
    """
    user_id = await statements.insert_user(
        work,
        email=email,
        name=name,
        password_hash=password_hash,
        email_verified=email_verified,
    )
    if user_id is None:
        raise EmailTaken
    return UserId(user_id)


async def memberships_of(work: UnitOfWork) -> list[Membership]:
    """Return the organizations of the transaction's person, the oldest first, at most 1,000."""
    return [
        Membership(OrgId(row["org_id"]), row["name"], Role(row["role"]))
        for row in await statements.list_memberships(work)
    ]


async def set_password(work: UnitOfWork, user_id: UserId, password_hash: str) -> None:
    """Give the transaction's person another password, and make links to set one worthless.

    The caller ends the sessions that must not outlive the old password.
    """
    await statements.update_password(work, user_id=user_id, password_hash=password_hash)
    await statements.delete_resets(work, user_id=user_id)


async def verify_email(work: UnitOfWork, user_id: UserId) -> None:
    """Note that the transaction's person has shown to receive mail under the address."""
    await statements.mark_email_verified(work, user_id=user_id)


async def rename_user(work: UnitOfWork, user_id: UserId, name: str) -> None:
    """Change the name of the transaction's person, and announce it wherever it is cached."""
    for row in await statements.rename_user(work, name=name):
        org_id = row["org_id"].hex
        work.invalidate(f"{org_id}/members", f"{org_id}/member-{user_id.hex}")
    for row in await statements.tokens_of_user(work, user_id=user_id):
        work.invalidate(f"{row['token_hash'].hex()}/session")
