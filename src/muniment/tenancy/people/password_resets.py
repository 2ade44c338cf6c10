"""Links to set a password: by mail for whoever forgot it, or printed by the operator."""

from __future__ import annotations

from datetime import timedelta

from muniment.db import UnitOfWork, UserId, load_statements
from muniment.settings import Settings
from muniment.tenancy.audit.record import record
from muniment.tenancy.people.addresses import normalise_email
from muniment.tenancy.people.errors import InvalidResetToken
from muniment.tenancy.people.people import People
from muniment.tenancy.people.schemas import CompleteReset
from muniment.tenancy.people.scopes import work_in
from muniment.tenancy.people.sessions import end_all_sessions
from muniment.tenancy.people.signed_in import Client
from muniment.tenancy.people.users import find_user, memberships_of, set_password, verify_email
from muniment.tenancy.secrets import hash_of, new_secret

_statements = load_statements("muniment.tenancy.people")

LIFETIME = timedelta(hours=1)

_SUBJECT = "Set your password for Muniment"
_LETTER = """\
Somebody, probably you, asked to set a new password for {email} at
{site}.

Open this link within an hour to choose one:

{link}

It works once and signs you out everywhere. If it was not you who asked, do nothing:
your password stays as it is.
"""


async def request_reset(people: People, email: str, client: Client) -> None:
    """Send a link to the owner of an account, if there is one and a mail server is set up.

    Whether there is an account is looked up after the answer, so neither the answer nor its time
    tells.

    Raises:
        InvalidEmail: it is no address.
        TooManyAttempts: too many links were asked for from this address or for this account.
    """
    email = normalise_email(email)
    await people.throttle.attempt_from(client.address)
    await people.throttle.mail_to(email)
    if people.mailer.enabled:
        people.after_answer.start(_send_link(people, email))


async def complete_reset(people: People, wanted: CompleteReset, client: Client) -> None:
    """Set the password of the account that a link is for, and sign it out everywhere.

    A link works once; of two who use it at the same moment one is refused. Who has it has shown
    to receive mail at the account's address.

    Raises:
        InvalidResetToken: the link was used or replaced, has expired, or never was one.
        UnfitPassword: the password is not acceptable; the link stays good.
        SignInBusy: too many wait to have a password hashed.
    """
    token_hash = hash_of(wanted.token)
    async with people.database.single_statement() as work:
        found = await _statements.find_reset(work, token_hash=token_hash)
    if found is None:
        raise InvalidResetToken
    user_id, email = UserId(found["user_id"]), found["email"]
    kept = await people.passwords.hash_chosen(wanted.password, known=[email], pointer="#/password")
    async with people.database.person(user_id) as work:
        memberships = await memberships_of(work)
    org_id = memberships[0].org_id if memberships else None
    async with work_in(people.database, user_id, org_id, client.address) as work:
        if not await _statements.use_reset(work, user_id=user_id, token_hash=token_hash):
            raise InvalidResetToken
        await set_password(work, user_id, kept)
        await verify_email(work, user_id)
        await end_all_sessions(work, user_id)
        if org_id is not None:
            await record(work, "password.changed", target_type="member", target_id=str(user_id))
    await people.throttle.succeeded_on(email)


async def make_reset(work: UnitOfWork, user_id: UserId) -> str:
    """Make a link for the transaction's person and return its token, which is known only now."""
    token = new_secret()
    await _statements.insert_reset(
        work, user_id=user_id, token_hash=hash_of(token), lifetime=LIFETIME
    )
    return token


def reset_link(settings: Settings, token: str) -> str:
    """Return the address of the page that sets a password.

    The token stands in the fragment, which browsers send to nobody, so that no log of a server
    or proxy ever holds it.
    """
    return f"{site_of(settings)}/reset-password#token={token}"


def site_of(settings: Settings) -> str:
    """Return the address under which people reach this installation."""
    return (settings.public_url or f"http://{settings.host}:{settings.port}").rstrip("/")


async def _send_link(people: People, email: str) -> None:
    async with people.database.single_statement() as lender:
        user = await find_user(lender, email)
    if user is None:
        return
    async with people.database.person(user.user_id) as work:
        token = await make_reset(work, user.user_id)
    await people.mailer.send(
        email,
        _SUBJECT,
        _LETTER.format(
            email=email, site=site_of(people.settings), link=reset_link(people.settings, token)
        ),
    )
