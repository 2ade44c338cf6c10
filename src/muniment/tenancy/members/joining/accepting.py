"""Accepting an invitation: with an account or by making one, once."""

from __future__ import annotations

from uuid import UUID

from muniment.db import OrgId, Role, TenantScope, UnitOfWork, UserId, load_statements, new_id
from muniment.tenancy.audit.record import record
from muniment.tenancy.members.errors import (
    InvitationForAnother,
    InvitationUnusable,
    PasswordNeeded,
)
from muniment.tenancy.members.membership import announce
from muniment.tenancy.members.schemas import Acceptance, OfferedInvitation, OfferedInvitations
from muniment.tenancy.people.errors import WrongCredentials
from muniment.tenancy.people.people import People
from muniment.tenancy.people.person import Person
from muniment.tenancy.people.scopes import scope_of_user
from muniment.tenancy.people.sessions import move_session, open_session
from muniment.tenancy.people.signed_in import Client, SignedInUser
from muniment.tenancy.people.users import create_user, find_user, memberships_of
from muniment.tenancy.secrets import hash_of

statements = load_statements("muniment.tenancy.members")


async def accept_with_link(people: People, given: Acceptance, client: Client) -> SignedInUser:
    """Make somebody who is not signed in a member, and sign them in.

    Whoever has an account of the address gives its password; whoever has none chooses one. The
    address of a new account does not count as verified: the link was also shown to who invited.

    Raises:
        TooManyAttempts: too many came from this address, or guessed at this account.
        InvitationUnusable: the link was used, taken back or renewed, has expired or never was.
        PasswordNeeded: a new account needs a name and a password, another one its password.
        WrongCredentials: the password is not the account's.
        UnfitPassword: the new password is not acceptable; the link stays good.
        SignInBusy: too many wait to have a password hashed.
    """
    await people.throttle.attempt_from(client.address)
    token_hash = hash_of(given.token)
    org_id, email = await _invited(people, token_hash)
    async with people.database.single_statement() as lender:
        user = await find_user(lender, email)
    if given.password is None:
        raise PasswordNeeded
    if user is not None:
        await people.throttle.attempt_on(email)
        if not await people.passwords.verify(user.password_hash, given.password):
            raise WrongCredentials
        await people.throttle.succeeded_on(email)
        user_id, name, fresh = user.user_id, user.name, None
    else:
        name = (given.name or "").strip()
        if not name:
            raise PasswordNeeded("A new account needs a name as well.")
        fresh = await people.passwords.hash_chosen(
            given.password, known=[email, name], pointer="#/password"
        )
        user_id = UserId(new_id())
    async with people.database.unit_of_work(_joining(org_id, user_id, client.address)) as work:
        if fresh is not None:
            await create_user(work, email, name, fresh, email_verified=False)
        await _join(work, user_id, email, name, token_hash=token_hash)
        session = await open_session(
            work,
            user_id,
            terms=people.terms,
            org_id=org_id,
            address=client.address,
            user_agent=client.user_agent,
        )
        memberships = await memberships_of(work)
    await people.throttle.succeeded_from(client.address)
    return SignedInUser(user_id, email, name, memberships, org_id, session)


async def accept_as(people: People, token: str, person: Person) -> None:
    """Make a person who is signed in a member; their session works in the organization then.

    Raises:
        InvitationUnusable: see `accept_with_link`.
        InvitationForAnother: the invitation is for another address than the person's.
    """
    token_hash = hash_of(token)
    org_id, email = await _invited(people, token_hash)
    if email != person.email:
        raise InvitationForAnother
    await _join_and_switch(people, person, org_id, token_hash=token_hash)


async def offered_invitations(people: People, person: Person) -> OfferedInvitations:
    """Return the invitations that wait for a person whose address is verified."""
    async with people.database.person(person.user_id) as work:
        rows = await statements.invitations_of_person(work)
    return OfferedInvitations(
        [
            OfferedInvitation(
                id=row["invitation_id"],
                organization_id=row["org_id"],
                organization=row["organization"],
                role=Role(row["role"]),
                expires_at=row["expires_at"],
            )
            for row in rows
        ]
    )


async def accept_offered(people: People, person: Person, invitation_id: UUID) -> None:
    """Accept an invitation that waits for the person, see `offered_invitations`, without its link.

    Raises:
        InvitationUnusable: no such invitation waits for the person.
    """
    offered = await offered_invitations(people, person)
    for invitation in offered.items:
        if invitation.id == invitation_id:
            org_id = OrgId(invitation.organization_id)
            await _join_and_switch(people, person, org_id, invitation_id=invitation_id)
            return
    raise InvitationUnusable("No such invitation waits for you.")


async def _invited(people: People, token_hash: bytes) -> tuple[OrgId, str]:
    async with people.database.single_statement() as lender:
        found = await statements.invitation_of_token(lender, token_hash=token_hash)
    if found is None or found["expired"]:
        raise InvitationUnusable
    return OrgId(found["org_id"]), found["email"]


def _joining(org_id: OrgId, user_id: UserId, address: str | None) -> TenantScope:
    # What the invitation grants is known when it has been used up, and nothing is done before.
    return scope_of_user(user_id, org_id, Role.VIEWER, address)


async def _join_and_switch(
    people: People,
    person: Person,
    org_id: OrgId,
    *,
    token_hash: bytes | None = None,
    invitation_id: UUID | None = None,
) -> None:
    scope = _joining(org_id, person.user_id, person.address)
    async with people.database.unit_of_work(scope) as work:
        await _join(
            work,
            person.user_id,
            person.email,
            person.name,
            token_hash=token_hash,
            invitation_id=invitation_id,
        )
        await move_session(work, person.user_id, person.session_id, org_id)


async def _join(
    work: UnitOfWork,
    user_id: UserId,
    email: str,
    name: str,
    *,
    token_hash: bytes | None = None,
    invitation_id: UUID | None = None,
) -> None:
    """Use an invitation up, known by its link or its id, and make the person a member.

    Whoever is a member already stays what they are.

    Raises:
        InvitationUnusable: somebody was faster, or it has just expired.
    """
    used = await statements.use_invitation(
        work, email=email, token_hash=token_hash, invitation_id=invitation_id
    )
    if used is None:
        raise InvitationUnusable
    joined = await statements.insert_member(
        work, org_id=work.scope.org_id, user_id=user_id, email=email, name=name, role=used["role"]
    )
    announce(work, user_id)
    await record(
        work,
        "invitation.accepted",
        target_type="invitation",
        target_id=str(used["invitation_id"]),
        after={"email": email, "role": used["role"]},
    )
    if joined is not None:
        await record(
            work,
            "member.joined",
            target_type="member",
            target_id=str(user_id),
            after={"role": used["role"]},
        )
