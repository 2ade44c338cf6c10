"""Sign-in with an e-mail address and a password."""

from __future__ import annotations

from uuid import UUID

from muniment.db import OrgId, load_statements
from muniment.tenancy.audit.record import record
from muniment.tenancy.errors import OrganizationNotFound
from muniment.tenancy.people.addresses import normalise_email
from muniment.tenancy.people.errors import InvalidEmail, WrongCredentials
from muniment.tenancy.people.people import People
from muniment.tenancy.people.schemas import SignIn
from muniment.tenancy.people.scopes import scope_of_stranger, work_in
from muniment.tenancy.people.sessions import open_session
from muniment.tenancy.people.signed_in import Client, SignedInUser
from muniment.tenancy.people.users import KnownUser, Membership, find_user, memberships_of

_statements = load_statements("muniment.tenancy.people")


async def sign_in(people: People, given: SignIn, client: Client) -> SignedInUser:
    """Sign in whoever has the password of the account.

    An unknown address takes the same statements and the same hashing as a wrong password, and
    counts the same; the note of a failure in the audit log is written after the answer.

    Raises:
        TooManyAttempts: too many failed from this address or on this account.
        WrongCredentials: no such account, no password, or another one.
        OrganizationNotFound: the person is not a member of the wanted organization.
        SignInBusy: too many wait to have a password verified.
    """
    email = _address_of(given.email)
    await people.throttle.attempt_from(client.address)
    await people.throttle.attempt_on(email)
    async with people.database.single_statement() as work:
        user = await find_user(work, email)
    kept = None if user is None else user.password_hash
    if not await people.passwords.verify(kept, given.password) or user is None or kept is None:
        if user is not None:
            people.after_answer.start(_note_refusal(people, user, given.organization_id, client))
        raise WrongCredentials
    signed_in = await enter(people, user, given.organization_id, client)
    await people.throttle.succeeded_from(client.address)
    await people.throttle.succeeded_on(email)
    if people.passwords.is_outdated(kept):
        await _rehash(people, user, kept, given.password)
    return signed_in


async def enter(
    people: People, user: KnownUser, wanted: UUID | None, client: Client
) -> SignedInUser:
    """Open a session for somebody who has shown who they are, by password or otherwise.

    Args:
        people: of this process.
        user: who enters.
        wanted: organization to work in; the one that the person joined first if None.
        client: that the session is for.

    Raises:
        OrganizationNotFound: the person is not a member of the wanted organization.
    """
    async with people.database.person(user.user_id) as work:
        memberships = await memberships_of(work)
    org_id = _chosen(memberships, wanted)
    async with work_in(people.database, user.user_id, org_id, client.address) as work:
        session = await open_session(
            work,
            user.user_id,
            terms=people.terms,
            org_id=org_id,
            address=client.address,
            user_agent=client.user_agent,
        )
        if org_id is not None:
            await record(
                work, "session.started", target_type="session", target_id=str(session.session_id)
            )
    return SignedInUser(user.user_id, user.email, user.name, memberships, org_id, session)


def _address_of(text: str) -> str:
    """Return the normalised address, or the text itself, which then is nobody's."""
    try:
        return normalise_email(text)
    except InvalidEmail:
        return text.replace("\x00", "")  # Postgres would refuse to look for it.


def _chosen(memberships: list[Membership], wanted: UUID | None) -> OrgId | None:
    if wanted is None:
        return memberships[0].org_id if memberships else None
    for membership in memberships:
        if membership.org_id == wanted:
            return membership.org_id
    raise OrganizationNotFound("You are not a member of such an organization.")


async def _note_refusal(
    people: People, user: KnownUser, wanted: UUID | None, client: Client
) -> None:
    """Note a failed sign-in in the log of the organization that it would have led to."""
    async with people.database.person(user.user_id) as work:
        memberships = await memberships_of(work)
    try:
        org_id = _chosen(memberships, wanted)
    except OrganizationNotFound:
        return
    if org_id is None:
        return
    async with people.database.unit_of_work(scope_of_stranger(org_id, client.address)) as work:
        await record(work, "session.refused", target_type="member", target_id=str(user.user_id))


async def _rehash(people: People, user: KnownUser, kept: str, password: str) -> None:
    """Keep the password with today's parameters, unless it has been changed meanwhile."""
    fresh = await people.passwords.hash(password)
    async with people.database.person(user.user_id) as work:
        await _statements.replace_password(
            work, user_id=user.user_id, password_hash=fresh, old_hash=kept
        )
