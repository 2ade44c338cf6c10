"""Show and change the organization of a transaction."""

from __future__ import annotations

from msgspec import UNSET

from muniment.db import UnitOfWork, load_statements
from muniment.tenancy.audit.record import record
from muniment.tenancy.authentication import Caller
from muniment.tenancy.errors import OrganizationNotFound
from muniment.tenancy.organizations.schemas import (
    ChangeOrganization,
    Me,
    Organization,
    OrganizationOfCaller,
    UserOfCaller,
)
from muniment.tenancy.permissions import allowed_actions

_statements = load_statements("muniment.tenancy.organizations")


async def find_organization(work: UnitOfWork) -> Organization:
    """Return the organization of the transaction.

    Raises:
        OrganizationNotFound: it was deleted a moment ago.
    """
    row = await _statements.get_organization(work)
    if row is None:
        raise OrganizationNotFound
    return Organization.from_row(row)


async def change_organization(work: UnitOfWork, wanted: ChangeOrganization) -> Organization:
    """Give the organization of the transaction another name.

    Raises:
        OrganizationNotFound: it was deleted a moment ago.
    """
    row = await _statements.hold_organization(work)
    if row is None:
        raise OrganizationNotFound
    before = Organization.from_row(row)
    if wanted.name is UNSET or wanted.name == before.name:
        return before
    after = Organization.from_row(await _statements.rename_organization(work, name=wanted.name))
    await record(
        work,
        "organization.changed",
        target_type="organization",
        target_id=str(before.id),
        before={"name": before.name},
        after={"name": after.name},
    )
    work.invalidate(f"{before.id.hex}/organization")
    return after


def describe_caller(caller: Caller) -> Me:
    """Tell callers who they are; it needs no statement beyond those that let them in."""
    tenant, organization, person = caller.tenant, caller.organization, caller.person
    return Me(
        kind="api_key" if person is None else "session",
        organization=OrganizationOfCaller(tenant.org_id, organization.name, organization.tier),
        role=tenant.role,
        workspace_roles=dict(tenant.workspace_roles),
        workspace_id=tenant.workspace_id,
        api_key_id=caller.api_key_id,
        user=None if person is None else UserOfCaller(person.user_id, person.email, person.name),
        actions=allowed_actions(tenant),
    )
