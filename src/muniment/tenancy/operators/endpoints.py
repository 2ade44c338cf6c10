"""All organizations, for the operator of the installation."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation

from muniment.cache.limits import RateLimiter
from muniment.db import Database, UnitOfWork
from muniment.settings import Settings
from muniment.tenancy.members.invitations import send_link
from muniment.tenancy.operators.organizations import (
    Operator,
    OrganizationFilter,
    find_organization,
)
from muniment.tenancy.operators.organizations import change_organization as change
from muniment.tenancy.operators.organizations import create_organization as create
from muniment.tenancy.operators.organizations import list_organizations as page_of_organizations
from muniment.tenancy.operators.organizations import resume_organization as resume
from muniment.tenancy.operators.organizations import suspend_organization as suspend
from muniment.tenancy.operators.schemas import (
    CreatedOrganization,
    NewOrganization,
    OperatedOrganization,
    OrganizationChange,
    OrganizationPage,
    Suspension,
)
from muniment.tenancy.people.addresses import normalise_email
from muniment.tenancy.people.mail import Mailer
from muniment.tier_settings import TierName


@get("/v1/admin/organizations", tags=["operator"], summary="List organizations, newest first")
async def list_organizations(
    *,
    operator_uow: NamedDependency[SkipValidation[UnitOfWork]],
    cursor_secret: NamedDependency[SkipValidation[bytes]],
    name: Annotated[
        str | None, QueryParameter(max_length=200, description="Part of the name.")
    ] = None,
    suspended: FromQuery[bool | None] = None,
    tier: FromQuery[TierName | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    cursor: Annotated[
        str | None, QueryParameter(description="`next_cursor` of the page before.")
    ] = None,
) -> OrganizationPage:
    """With what each uses and when it was last active. Filters combine; all are optional."""
    return await page_of_organizations(
        operator_uow,
        OrganizationFilter(name, suspended, tier),
        limit=limit,
        cursor=cursor,
        secret=cursor_secret,
    )


@post("/v1/admin/organizations", tags=["operator"], summary="Create an organization")
async def create_organization(
    *,
    data: JSONBody[NewOrganization],
    database: NamedDependency[SkipValidation[Database]],
    settings: NamedDependency[SkipValidation[Settings]],
    mailer: NamedDependency[SkipValidation[Mailer]],
    limiter: NamedDependency[SkipValidation[RateLimiter]],
    operator: NamedDependency[str],
    client_address: NamedDependency[str],
) -> CreatedOrganization:
    """Its owner is invited if an address is given; otherwise a key of the role owner is made.

    The link or the key is shown this once.
    """
    email = None if data.owner_email is None else normalise_email(data.owner_email)
    acting = Operator(operator, client_address)
    entrance = await create(database, acting, data.name, data.tier, email)
    async with database.operator() as work:
        organization = await find_organization(work, entrance.scope.org_id)
    sent = None
    if entrance.invitation is not None:
        # Only what is committed is mailed.
        sent = await send_link(mailer, limiter, settings, entrance.scope, entrance.invitation)
    return CreatedOrganization(organization, sent, entrance.api_key)


@get("/v1/admin/organizations/{org_id:uuid}", tags=["operator"], summary="Show an organization")
async def get_organization(
    operator_uow: NamedDependency[SkipValidation[UnitOfWork]], org_id: FromPath[UUID]
) -> OperatedOrganization:
    """What it uses, and whether it is suspended."""
    return await find_organization(operator_uow, org_id)


@patch("/v1/admin/organizations/{org_id:uuid}", tags=["operator"], summary="Change an organization")
async def change_organization(
    operator_uow: NamedDependency[SkipValidation[UnitOfWork]],
    operator: NamedDependency[str],
    client_address: NamedDependency[str],
    org_id: FromPath[UUID],
    data: JSONBody[OrganizationChange],
) -> OperatedOrganization:
    """Its name or tier. A smaller tier deletes nothing; nothing more is taken in until it fits."""
    acting = Operator(operator, client_address)
    await change(operator_uow, acting, org_id, data.name, data.tier)
    return await find_organization(operator_uow, org_id)


@post(
    "/v1/admin/organizations/{org_id:uuid}/suspend",
    tags=["operator"],
    summary="Suspend an organization",
    status_code=200,
)
async def suspend_organization(
    operator_uow: NamedDependency[SkipValidation[UnitOfWork]],
    operator: NamedDependency[str],
    client_address: NamedDependency[str],
    org_id: FromPath[UUID],
    data: JSONBody[Suspension],
) -> OperatedOrganization:
    """Nobody of it is let in from the next request on; nothing is deleted.

    Documents that were accepted before are still converted; syncs stop and imports are refused.
    """
    await suspend(operator_uow, Operator(operator, client_address), org_id, data.reason)
    return await find_organization(operator_uow, org_id)


@post(
    "/v1/admin/organizations/{org_id:uuid}/resume",
    tags=["operator"],
    summary="Resume an organization",
    status_code=200,
)
async def resume_organization(
    operator_uow: NamedDependency[SkipValidation[UnitOfWork]],
    operator: NamedDependency[str],
    client_address: NamedDependency[str],
    org_id: FromPath[UUID],
) -> OperatedOrganization:
    """Let a suspended organization work again, as it was."""
    await resume(operator_uow, Operator(operator, client_address), org_id)
    return await find_organization(operator_uow, org_id)


operator_handlers = [
    list_organizations,
    create_organization,
    get_organization,
    change_organization,
    suspend_organization,
    resume_organization,
]
