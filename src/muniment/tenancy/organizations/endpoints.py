"""Who the caller is, and the caller's organization."""

from __future__ import annotations

from litestar import get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation

from muniment.db import UnitOfWork
from muniment.tenancy.authentication import Caller
from muniment.tenancy.organizations import organization
from muniment.tenancy.organizations.schemas import ChangeOrganization, Me, Organization
from muniment.tenancy.permissions import Action


@get("/v1/me", tags=["tenancy"], summary="Show who I am", action=Action.ORGANIZATION_READ)
async def get_me(caller: NamedDependency[SkipValidation[Caller]]) -> Me:
    """The caller's organization and role in it, and what they may do."""
    return organization.describe_caller(caller)


@get(
    "/v1/organization",
    tags=["tenancy"],
    summary="Show the organization",
    action=Action.ORGANIZATION_READ,
)
async def get_organization(uow: NamedDependency[SkipValidation[UnitOfWork]]) -> Organization:
    """The one that the key or session is for."""
    return await organization.find_organization(uow)


@patch(
    "/v1/organization",
    tags=["tenancy"],
    summary="Change the organization",
    action=Action.ORGANIZATION_CHANGE,
)
async def change_organization(
    uow: NamedDependency[SkipValidation[UnitOfWork]], data: JSONBody[ChangeOrganization]
) -> Organization:
    """Its name; the tier is the operator's to change."""
    return await organization.change_organization(uow, data)


handlers = [get_me, get_organization, change_organization]
