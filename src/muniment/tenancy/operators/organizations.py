"""What the operator does with organizations; each act is in that organization's audit log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec

from muniment.db import Database, OrgId, Role, TenantScope, UnitOfWork, load_statements, new_id
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.tenancy.audit.actions import AuditAction
from muniment.tenancy.audit.record import record, record_by_operator
from muniment.tenancy.errors import OrganizationNotFound
from muniment.tenancy.first_start import create_organization as insert_organization
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.members.invitations import FreshInvitation, invite
from muniment.tenancy.operators.schemas import OperatedOrganization, OrganizationPage
from muniment.tier_settings import TierName

statements = load_statements("muniment.tenancy.operators")

_LISTING = "admin_organizations"
_NEWEST = UUID(int=2**128 - 1)


class OrganizationFilter(msgspec.Struct, frozen=True):
    """Which organizations to list; what is None does not matter."""

    name: str | None = None
    """Part of the name, in whatever case."""
    suspended: bool | None = None
    tier: TierName | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts, as the audit logs name them, and from where."""

    actor: str
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Entrance:
    """The way into a new organization: one of both; its secret is known only now."""

    scope: TenantScope
    invitation: FreshInvitation | None = None
    api_key: str | None = None


async def list_organizations(
    work: UnitOfWork, wanted: OrganizationFilter, *, limit: int, cursor: str | None, secret: bytes
) -> OrganizationPage:
    """Return a page of organizations with what each uses, in one statement.

    Args:
        work: a transaction of the operator, as everywhere here.
        wanted: which ones.
        limit: of the page, 1 to 100.
        cursor: `next_cursor` of the page before.
        secret: that signs cursors.

    Raises:
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    before = _NEWEST if cursor is None else decode_cursor(secret, _LISTING, cursor, UUID)
    items = await _page(work, wanted, before, limit + 1)
    if len(items) <= limit:
        return OrganizationPage(items, None)
    items = items[:limit]
    return OrganizationPage(items, encode_cursor(secret, _LISTING, items[-1].id))


async def find_organization(work: UnitOfWork, org_id: UUID) -> OperatedOrganization:
    """Return one organization, in one statement.

    Raises:
        OrganizationNotFound: there is none of this id.
    """
    # The one before the next id, if it is there: the listing's statement serves here too.
    following = UUID(int=min(org_id.int + 1, _NEWEST.int))
    found = await _page(work, OrganizationFilter(), following, 1)
    if not found or found[0].id != org_id:
        raise OrganizationNotFound
    return found[0]


async def create_organization(
    database: Database, operator: Operator, name: str, tier: TierName, owner_email: str | None
) -> Entrance:
    """Create an organization with a first workspace and one way into it.

    Args:
        database: where; the transaction is one of the new organization.
        operator: who acts.
        name: 1 to 200 characters.
        tier: which limits it gets.
        owner_email: whom to invite as its owner, normalised by
            `people.addresses.normalise_email`; without one a key of the role owner is made.
    """
    scope = TenantScope(OrgId(new_id()), None, operator.actor, Role.OWNER, address=operator.address)
    async with database.unit_of_work(scope) as work:
        await insert_organization(work, name, tier=tier)
        await record(
            work,
            "organization.created",
            target_type="organization",
            target_id=str(scope.org_id),
            after={"name": name, "tier": tier},
        )
        if owner_email is not None:
            return Entrance(scope, invitation=await invite(work, owner_email, Role.OWNER))
        made = await create_api_key(work, "first key", Role.OWNER)
        return Entrance(scope, api_key=made.key)


async def change_organization(
    work: UnitOfWork, operator: Operator, org_id: UUID, name: str | None, tier: TierName | None
) -> None:
    """Rename an organization or put it into another tier; None leaves as it is.

    A smaller tier deletes nothing: what is there stays, and nothing more is taken in.

    Raises:
        OrganizationNotFound: there is none of this id.
    """
    row = await statements.change_organization(work, org_id=org_id, name=name, tier=tier)
    if row is None:
        raise OrganizationNotFound
    if row["name"] != row["name_before"]:
        before, after = {"name": row["name_before"]}, {"name": row["name"]}
        await _record(work, operator, org_id, "organization.changed", before=before, after=after)
    if row["tier"] != row["tier_before"]:
        before, after = {"tier": row["tier_before"]}, {"tier": row["tier"]}
        await _record(
            work, operator, org_id, "organization.tier_changed", before=before, after=after
        )
    _announce(work, org_id)


async def suspend_organization(
    work: UnitOfWork, operator: Operator, org_id: UUID, reason: str
) -> None:
    """Let nobody of an organization in from the commit on, in every process.

    Nothing is deleted. Conversions and embeddings that were accepted before come to their end;
    a sync stops with its next batch and, like every other import, takes in nothing. Suspending
    again changes the reason.

    Raises:
        OrganizationNotFound: there is none of this id.
    """
    row = await statements.suspend_organization(work, org_id=org_id, reason=reason)
    if row is None:
        raise OrganizationNotFound
    before = {"suspended": row["was_suspended"], "reason": row["reason_before"]}
    after = {"suspended": True, "reason": reason}
    if before != after:
        await _record(work, operator, org_id, "organization.suspended", before=before, after=after)
    _announce(work, org_id)


async def resume_organization(work: UnitOfWork, operator: Operator, org_id: UUID) -> None:
    """Let an organization work again; one that is not suspended stays as it is.

    Raises:
        OrganizationNotFound: there is none of this id.
    """
    row = await statements.resume_organization(work, org_id=org_id)
    if row is None:
        raise OrganizationNotFound
    if row["was_suspended"]:
        before = {"suspended": True, "reason": row["reason_before"]}
        after = {"suspended": False, "reason": None}
        await _record(work, operator, org_id, "organization.resumed", before=before, after=after)
    _announce(work, org_id)


async def _page(
    work: UnitOfWork, wanted: OrganizationFilter, before: UUID, limit: int
) -> list[OperatedOrganization]:
    rows = await statements.list_organizations(
        work,
        before=before,
        name=wanted.name,
        tier=wanted.tier,
        suspended=wanted.suspended,
        limit=limit,
    )
    return [OperatedOrganization.from_row(row) for row in rows]


async def _record(
    work: UnitOfWork,
    operator: Operator,
    org_id: UUID,
    action: AuditAction,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object],
) -> None:
    await record_by_operator(
        work,
        operator.actor,
        OrgId(org_id),
        action,
        address=operator.address,
        before=before,
        after=after,
    )


def _announce(work: UnitOfWork, org_id: UUID) -> None:
    work.invalidate(f"{org_id.hex}/organization")
