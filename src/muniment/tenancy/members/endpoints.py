"""Members, workspaces and invitations of the caller's organization."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation

from muniment.cache import Cache
from muniment.cache.limits import RateLimiter
from muniment.db import Database, TenantScope, UnitOfWork, WorkspaceId
from muniment.settings import Settings
from muniment.tenancy.errors import NotAllowed
from muniment.tenancy.members.first_pages import (
    cached_page_of_members,
    cached_page_of_workspaces,
)
from muniment.tenancy.members.invitations import (
    invite,
    page_of_invitations,
    revoke_invitation,
    send_link,
)
from muniment.tenancy.members.membership import change_role, end_membership, find_member
from muniment.tenancy.members.schemas import (
    InvitationPage,
    Member,
    MemberPage,
    NewInvitation,
    RoleChange,
    SentInvitation,
    Workspace,
    WorkspaceName,
    WorkspacePage,
)
from muniment.tenancy.members.workspaces import (
    create_workspace,
    delete_workspace,
    find_workspace,
    remove_workspace_role,
    rename_workspace,
    set_workspace_role,
)
from muniment.tenancy.people.addresses import normalise_email
from muniment.tenancy.people.mail import Mailer
from muniment.tenancy.permissions import Action, require_in_workspace

Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")]
Work = NamedDependency[SkipValidation[UnitOfWork]]
Tenant = NamedDependency[SkipValidation[TenantScope]]
Secret = NamedDependency[SkipValidation[bytes]]

# --- members -----------------------------------------------------------------------------------


@get(
    "/v1/organization/members",
    tags=["tenancy"],
    summary="List members",
    action=Action.MEMBERS_READ,
)
async def list_members(
    *,
    database: NamedDependency[SkipValidation[Database]],
    cache: NamedDependency[SkipValidation[Cache]],
    tenant: Tenant,
    cursor_secret: Secret,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> MemberPage:
    """Who belongs to the organization, as what, and where they may do less."""
    return await cached_page_of_members(
        database, cache, tenant, limit=limit, cursor=cursor, secret=cursor_secret
    )


@get(
    "/v1/organization/members/{user_id:uuid}",
    tags=["tenancy"],
    summary="Show a member",
    action=Action.MEMBERS_READ,
)
async def get_member(uow: Work, user_id: FromPath[UUID]) -> Member:
    """One member, with the roles in workspaces that are narrower."""
    return await find_member(uow, user_id)


@patch(
    "/v1/organization/members/{user_id:uuid}",
    tags=["tenancy"],
    summary="Change a member's role",
    action=Action.MEMBERS_MANAGE,
)
async def patch_member(uow: Work, user_id: FromPath[UUID], data: JSONBody[RoleChange]) -> Member:
    """Nobody can give, or take away, more than they have; the last owner stays one.

    Roles in workspaces that are not narrower than the new role are forgotten.
    """
    return await change_role(uow, user_id, data.role)


@delete(
    "/v1/organization/members/{user_id:uuid}",
    tags=["tenancy"],
    summary="Remove a member",
    action=Action.MEMBERS_MANAGE,
)
async def remove_member(uow: Work, user_id: FromPath[UUID]) -> None:
    """It takes effect with the member's next request; their account and API keys stay."""
    await end_membership(uow, user_id)


@delete(
    "/v1/organization/members/me",
    tags=["tenancy"],
    summary="Leave the organization",
    action=Action.MEMBERS_READ,
)
async def leave_organization(uow: Work, tenant: Tenant) -> None:
    """Your session is in no organization from then on. The last owner cannot leave."""
    if tenant.user_id is None:
        raise NotAllowed("An API key is no member: sign in to leave.")
    await end_membership(uow, tenant.user_id)


# --- workspaces --------------------------------------------------------------------------------


@get(
    "/v1/workspaces",
    tags=["tenancy"],
    summary="List workspaces",
    action=Action.WORKSPACES_READ,
)
async def list_workspaces(
    *,
    database: NamedDependency[SkipValidation[Database]],
    cache: NamedDependency[SkipValidation[Cache]],
    tenant: Tenant,
    cursor_secret: Secret,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> WorkspacePage:
    """Oldest first, each with what you may do in it."""
    return await cached_page_of_workspaces(
        database, cache, tenant, limit=limit, cursor=cursor, secret=cursor_secret
    )


@post(
    "/v1/workspaces",
    tags=["tenancy"],
    summary="Create a workspace",
    action=Action.WORKSPACES_MANAGE,
)
async def post_workspace(uow: Work, data: JSONBody[WorkspaceName]) -> Response[Workspace]:
    """Of two that ask for the same name, one is refused."""
    workspace = await create_workspace(uow, data.name)
    return Response(
        workspace, status_code=201, headers={"Location": f"/v1/workspaces/{workspace.id}"}
    )


@get(
    "/v1/workspaces/{workspace_id:uuid}",
    tags=["tenancy"],
    summary="Show a workspace",
    action=Action.WORKSPACES_READ,
)
async def get_workspace(uow: Work, workspace_id: FromPath[UUID]) -> Workspace:
    """One workspace, with what you may do in it."""
    return await find_workspace(uow, workspace_id)


@patch(
    "/v1/workspaces/{workspace_id:uuid}",
    tags=["tenancy"],
    summary="Rename a workspace",
    action=Action.WORKSPACES_MANAGE,
)
async def patch_workspace(
    uow: Work, tenant: Tenant, workspace_id: FromPath[UUID], data: JSONBody[WorkspaceName]
) -> Workspace:
    """Its documents and keys stay as they are."""
    require_in_workspace(tenant, Action.WORKSPACES_MANAGE, WorkspaceId(workspace_id))
    return await rename_workspace(uow, workspace_id, data.name)


@delete(
    "/v1/workspaces/{workspace_id:uuid}",
    tags=["tenancy"],
    summary="Delete an empty workspace",
    action=Action.WORKSPACES_MANAGE,
)
async def remove_workspace(uow: Work, tenant: Tenant, workspace_id: FromPath[UUID]) -> None:
    """Its sources go with it, and the API keys that are limited to it. The last one stays."""
    require_in_workspace(tenant, Action.WORKSPACES_MANAGE, WorkspaceId(workspace_id))
    await delete_workspace(uow, workspace_id)


@put(
    "/v1/workspaces/{workspace_id:uuid}/members/{user_id:uuid}",
    tags=["tenancy"],
    summary="Narrow a member's role in a workspace",
    action=Action.MEMBERS_MANAGE,
)
async def put_workspace_role(
    uow: Work, workspace_id: FromPath[UUID], user_id: FromPath[UUID], data: JSONBody[RoleChange]
) -> Member:
    """The role must be narrower than the member's role in the organization."""
    return await set_workspace_role(uow, workspace_id, user_id, data.role)


@delete(
    "/v1/workspaces/{workspace_id:uuid}/members/{user_id:uuid}",
    tags=["tenancy"],
    summary="Take back a narrower role",
    action=Action.MEMBERS_MANAGE,
)
async def delete_workspace_role(
    uow: Work, workspace_id: FromPath[UUID], user_id: FromPath[UUID]
) -> None:
    """The member has the role of the organization in the workspace again."""
    await remove_workspace_role(uow, workspace_id, user_id)


# --- invitations -------------------------------------------------------------------------------


@get(
    "/v1/invitations",
    tags=["tenancy"],
    summary="List open invitations",
    action=Action.MEMBERS_MANAGE,
    reads="replica",
)
async def list_invitations(
    *, uow: Work, cursor_secret: Secret, limit: Limit = 50, cursor: Cursor = None
) -> InvitationPage:
    """Newest first; those that have expired can be renewed by inviting the address again."""
    return await page_of_invitations(uow, limit=limit, cursor=cursor, secret=cursor_secret)


@post(
    "/v1/invitations",
    tags=["tenancy"],
    summary="Invite somebody",
    action=Action.MEMBERS_MANAGE,
)
async def post_invitation(
    *,
    data: JSONBody[NewInvitation],
    database: NamedDependency[SkipValidation[Database]],
    tenant: Tenant,
    settings: NamedDependency[SkipValidation[Settings]],
    mailer: NamedDependency[SkipValidation[Mailer]],
    limiter: NamedDependency[SkipValidation[RateLimiter]],
) -> SentInvitation:
    """The link works for seven days and is shown this once; it is also sent by mail if it can be.

    Inviting the same address again renews the invitation and makes the former link worthless.
    """
    email = normalise_email(data.email)
    async with database.unit_of_work(tenant) as work:
        fresh = await invite(work, email, data.role)
    # Only what is committed is mailed.
    return await send_link(mailer, limiter, settings, tenant, fresh)


@delete(
    "/v1/invitations/{invitation_id:uuid}",
    tags=["tenancy"],
    summary="Take back an invitation",
    action=Action.MEMBERS_MANAGE,
)
async def delete_invitation(uow: Work, invitation_id: FromPath[UUID]) -> None:
    """Its link is worth nothing from then on."""
    await revoke_invitation(uow, invitation_id)


handlers: list[BaseRouteHandler] = [
    list_members,
    get_member,
    patch_member,
    remove_member,
    leave_organization,
    list_workspaces,
    post_workspace,
    get_workspace,
    patch_workspace,
    remove_workspace,
    put_workspace_role,
    delete_workspace_role,
    list_invitations,
    post_invitation,
    delete_invitation,
]
