"""Sign-up: a person, their organization and their first session, all or nothing."""

from __future__ import annotations

from muniment.db import OrgId, Role, UnitOfWork, UserId, load_statements, new_id
from muniment.tenancy.audit.record import record
from muniment.tenancy.first_start import create_organization
from muniment.tenancy.people.addresses import normalise_email
from muniment.tenancy.people.errors import SignUpClosed
from muniment.tenancy.people.people import People
from muniment.tenancy.people.schemas import SignUp
from muniment.tenancy.people.scopes import scope_of_user
from muniment.tenancy.people.sessions import open_session
from muniment.tenancy.people.signed_in import Client, SignedInUser
from muniment.tenancy.people.users import Membership, create_user

statements = load_statements("muniment.tenancy.people")


async def sign_up(people: People, wanted: SignUp, client: Client) -> SignedInUser:
    """Create a user who owns a new organization with the workspace `default`, and sign them in.

    Somebody who signs up with a taken address is told so, as GitHub, GitLab and Slack do: the
    answer opens a session at once, which it cannot for an account that is there, and mail that
    could say the same to the owner of the address alone is not to be had everywhere. So the
    answer does tell who has an account, but no faster than the throttle allows, and the
    password is hashed before anybody looks, so nothing but the answer tells.

    Raises:
        SignUpClosed: the setting `sign_up` is off.
        TooManyAttempts: too many came from this address.
        InvalidEmail, UnfitPassword: the values are not acceptable.
        EmailTaken: there is such a user.
        SignInBusy: too many wait to have a password hashed.
    """
    if not people.settings.sign_up:
        raise SignUpClosed
    await people.throttle.attempt_from(client.address)
    email, name = normalise_email(wanted.email), wanted.name.strip()
    kept = await people.passwords.hash_chosen(
        wanted.password, known=[email, name, wanted.organization], pointer="#/password"
    )
    user_id, org_id = UserId(new_id()), OrgId(new_id())
    membership = Membership(org_id, wanted.organization.strip(), Role.OWNER)
    scope = scope_of_user(user_id, org_id, Role.OWNER, client.address)
    async with people.database.unit_of_work(scope) as work:
        await create_user(work, email, name, kept, email_verified=False)
        await create_organization(work, membership.name, tier=people.settings.sign_up_tier)
        await record(
            work, "organization.created", target_type="organization", target_id=str(org_id)
        )
        await join(work, user_id, email, name, Role.OWNER)
        await record(
            work,
            "member.joined",
            target_type="member",
            target_id=str(user_id),
            after={"email": email, "role": Role.OWNER},
        )
        session = await open_session(
            work,
            user_id,
            terms=people.terms,
            org_id=org_id,
            address=client.address,
            user_agent=client.user_agent,
        )
    return SignedInUser(user_id, email, name, [membership], org_id, session)


async def join(work: UnitOfWork, user_id: UserId, email: str, name: str, role: Role) -> None:
    """Make the transaction's person a member of its organization; the caller writes its log."""
    await statements.insert_member(
        work, org_id=work.scope.org_id, user_id=user_id, email=email, name=name, role=role.value
    )
    partition = work.scope.org_id.hex
    work.invalidate(f"{partition}/members", f"{partition}/member-{user_id.hex}")
