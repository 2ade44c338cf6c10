"""Invitations: asking somebody to become a member, and taking that back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import msgspec

from muniment.cache.limits import Rate, RateLimiter
from muniment.db import Role, TenantScope, UnitOfWork, load_statements, new_id
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.settings import Settings
from muniment.tenancy.audit.record import record
from muniment.tenancy.errors import NotAllowed
from muniment.tenancy.members.errors import AlreadyMember, InvitationNotFound
from muniment.tenancy.members.membership import roles_up_to
from muniment.tenancy.members.schemas import Invitation, InvitationPage, SentInvitation
from muniment.tenancy.people.mail import Mailer
from muniment.tenancy.people.password_resets import site_of
from muniment.tenancy.permissions import require_within_own
from muniment.tenancy.secrets import hash_of, new_secret

statements = load_statements("muniment.tenancy.members")

LIFETIME = timedelta(days=7)
MAILS = Rate(5, per=3600)
"""Invitations that one organization has mailed to one address; a link is still made for more."""
MAILS_OF_ORGANIZATION = Rate(100, per=3600)
"""The same to whomever, so that nobody who can sign up has a machine for unwanted mail."""

_LETTER = """Hello,

you are invited to {organization} on {site}, as {role}.
To accept, open this link within seven days:

{link}

If you did not expect this, ignore it: nothing happens unless the link is opened.
"""
_LISTING = "invitations"
_NEWEST = UUID(int=2**128 - 1)


async def page_of_invitations(
    work: UnitOfWork, *, limit: int, cursor: str | None, secret: bytes
) -> InvitationPage:
    """Return a page of open invitations, newest first, in one statement.

    Raises:
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    before = _NEWEST if cursor is None else decode_cursor(secret, _LISTING, cursor, UUID)
    rows = await statements.list_invitations(work, before=before, limit=limit + 1)
    items = [Invitation.from_row(row) for row in rows[:limit]]
    more = len(rows) > limit
    return InvitationPage(items, encode_cursor(secret, _LISTING, items[-1].id) if more else None)


@dataclass(frozen=True, slots=True)
class FreshInvitation:
    """An invitation that was just made or renewed: the only time that its token is known."""

    invitation: Invitation
    token: str
    organization: str
    """Its name."""


async def invite(work: UnitOfWork, email: str, role: Role) -> FreshInvitation:
    """Invite an address, or renew its open invitation.

    A former link of the address is worth nothing any more.

    Args:
        work: transaction of who invites.
        email: normalised by `people.addresses.normalise_email`.
        role: that the invitation grants.

    Raises:
        NotAllowed: the role, or that of the open invitation, is above the caller's.
        AlreadyMember: somebody of this address is a member.
    """
    require_within_own(work.scope, role)
    token = new_secret()
    row = await statements.upsert_invitation(
        work,
        org_id=work.scope.org_id,
        invitation_id=new_id(),
        email=email,
        role=role.value,
        token_hash=hash_of(token),
        invited_by=work.scope.actor,
        lifetime=LIFETIME,
        grantable=roles_up_to(work.scope.role),
    )
    if row is None:
        if await statements.has_member(work, email=email):
            raise AlreadyMember
        raise NotAllowed("An open invitation of this address grants a role above yours.")
    invitation = Invitation.from_row(row)
    await record(
        work,
        "invitation.created",
        target_type="invitation",
        target_id=str(invitation.id),
        after={"email": email, "role": role},
    )
    return FreshInvitation(invitation, token, await statements.organization_name(work))


async def revoke_invitation(work: UnitOfWork, invitation_id: UUID) -> None:
    """Take back an open invitation.

    Raises:
        InvitationNotFound: the organization has no such open invitation.
        NotAllowed: it grants a role above the caller's.
    """
    row = await statements.revoke_invitation(
        work, invitation_id=invitation_id, grantable=roles_up_to(work.scope.role)
    )
    if row is None:
        role = await statements.open_invitation_role(work, invitation_id=invitation_id)
        if role is None:
            raise InvitationNotFound
        raise NotAllowed(f"The invitation grants the role {role}, which is above yours.")
    await record(
        work,
        "invitation.revoked",
        target_type="invitation",
        target_id=str(invitation_id),
        before={"email": row["email"], "role": row["role"]},
    )


async def send_link(
    mailer: Mailer,
    limiter: RateLimiter,
    settings: Settings,
    tenant: TenantScope,
    fresh: FreshInvitation,
) -> SentInvitation:
    """Send the link of a committed invitation by mail where that is possible, and return it.

    The token stands in the fragment, which browsers send to nobody, so no log holds it.
    """
    site, invitation = site_of(settings), fresh.invitation
    link = f"{site}/accept-invitation#token={fresh.token}"
    mailed = False
    if mailer.enabled:
        group = tenant.org_id.hex
        # Hashed, so that no address of somebody who has no account is kept in Redis.
        subject = f"{group}:{hash_of(invitation.email).hex()}"
        claims = [
            ("invitation_mails", subject, MAILS),
            ("organization_mails", group, MAILS_OF_ORGANIZATION),
        ]
        if all(verdict.allowed for verdict in await limiter.check_all(group, claims)):
            # A header is one line, whatever an organization calls itself.
            name = " ".join(fresh.organization.split())
            mailed = await mailer.send(
                invitation.email,
                f"Invitation to {name}",
                _LETTER.format(organization=name, site=site, role=invitation.role, link=link),
            )
    return SentInvitation(**msgspec.structs.asdict(invitation), accept_url=link, mailed=mailed)
