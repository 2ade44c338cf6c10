"""Whose account an identity of the provider is: a known one, one of the same address, a new one."""

from __future__ import annotations

import structlog

from muniment.db import UserId, load_statements, new_id
from muniment.errors import ServiceUnavailable
from muniment.tenancy.people.addresses import normalise_email
from muniment.tenancy.people.errors import EmailTaken, InvalidEmail
from muniment.tenancy.people.oidc.errors import EmailNotVerified, NoAccount
from muniment.tenancy.people.oidc.provider import Identity
from muniment.tenancy.people.people import People
from muniment.tenancy.people.sessions import end_all_sessions
from muniment.tenancy.people.users import KnownUser, create_user, find_user

statements = load_statements("muniment.tenancy.people.oidc")

_LONGEST_NAME = 200
_TRIES = 3
"""Of two sign-ins of the same identity at once one tries again; there is no reason for a third."""

_log = structlog.get_logger()


class _Overtaken(Exception):
    """Another sign-in made the account or the identity at the same moment."""


async def user_of_identity(people: People, identity: Identity) -> KnownUser:
    """Return the user that an identity belongs to, making or linking the account if need be.

    An identity is known by issuer and subject. Only when it comes for the first time does its
    address matter, and only if the provider says that it is verified: whoever could claim
    somebody else's address could take over that account.

    Raises:
        EmailNotVerified: the provider does not vouch for the address.
        NoAccount: there is no account, and the settings let nobody in without an invitation.
        ServiceUnavailable: others changed the account at the same moment, again and again.
    """
    for _ in range(_TRIES):
        known = await _known(people, identity)
        if known is not None:
            return known
        email = _verified_address(identity)
        async with people.database.single_statement() as lender:
            user = await find_user(lender, email)
        try:
            if user is None:
                return await _new_user(people, identity, email)
            return await _linked(people, identity, user)
        except (_Overtaken, EmailTaken):
            # What the other one has made is there now, and will be found.
            continue
    raise ServiceUnavailable(retry_after=1)


async def _known(people: People, identity: Identity) -> KnownUser | None:
    async with people.database.single_statement() as lender:
        row = await statements.person_of_identity(
            lender, issuer=identity.issuer, subject=identity.subject
        )
    if row is None:
        return None
    # Identities are linked to verified addresses only.
    return KnownUser(UserId(row["user_id"]), row["email"], row["name"], None, email_verified=True)


def _verified_address(identity: Identity) -> str:
    if identity.email is None or not identity.email_verified:
        raise EmailNotVerified
    try:
        return normalise_email(identity.email)
    except InvalidEmail as error:
        raise EmailNotVerified("The identity provider sent no usable e-mail address.") from error


async def _linked(people: People, identity: Identity, user: KnownUser) -> KnownUser:
    """Link an account of the same address.

    Somebody may have signed up with an address that is not theirs and wait for its owner to come
    (pre-hijacking). So an account that was never verified is handed over with nothing left of
    whoever made it: no password, no session, no other way in.
    """
    async with people.database.person(user.user_id) as work:
        if await statements.claim_account(work) is not None:
            await statements.delete_identities(work)
            await statements.delete_links(work)
            await end_all_sessions(work, user.user_id)
            _log.info("unverified_account_claimed", user_id=str(user.user_id))
        linked = await statements.insert_identity(
            work, issuer=identity.issuer, subject=identity.subject
        )
        if linked is None:
            raise _Overtaken
    return KnownUser(user.user_id, user.email, user.name, None, email_verified=True)


async def _new_user(people: People, identity: Identity, email: str) -> KnownUser:
    name = (identity.name or "").strip()[:_LONGEST_NAME] or email.partition("@")[0]
    user_id = UserId(new_id())
    async with people.database.person(user_id) as work:
        await create_user(work, email, name, None, email_verified=True)
        if not people.settings.oidc_sign_up and not await statements.is_invited(work):
            raise NoAccount
        linked = await statements.insert_identity(
            work, issuer=identity.issuer, subject=identity.subject
        )
        if linked is None:
            raise _Overtaken
    return KnownUser(user_id, email, name, None, email_verified=True)
