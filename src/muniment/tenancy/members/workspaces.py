"""Workspaces: listing, making, renaming and deleting them, and narrower roles in them."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from muniment.db import Role, UnitOfWork, WorkspaceId, load_statements, new_id
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.tenancy.audit.record import record
from muniment.tenancy.errors import NotAllowed, WorkspaceNotFound
from muniment.tenancy.members.errors import (
    LastWorkspace,
    MemberNotFound,
    RoleNotNarrower,
    WorkspaceExists,
    WorkspaceNotEmpty,
)
from muniment.tenancy.members.membership import (
    announce,
    find_member,
    hold_member,
    roles_below,
)
from muniment.tenancy.members.schemas import Member, Workspace, WorkspacePage
from muniment.tenancy.permissions import require_within_own
from muniment.tenancy.quotas.usage import hold_usage

statements = load_statements("muniment.tenancy.members")

_LISTING = "workspaces"
_FIRST = UUID(int=0)


async def page_of_workspaces(
    work: UnitOfWork, *, limit: int, cursor: str | None, secret: bytes
) -> WorkspacePage:
    """Return a page of the workspaces that the caller sees, in one statement.

    Raises:
        InvalidCursor: the cursor is not one that this listing gave out.
        WorkspaceNotFound: the caller's one workspace was deleted a moment ago.
    """
    after = _FIRST if cursor is None else decode_cursor(secret, _LISTING, cursor, UUID)
    if work.scope.workspace_id is not None:
        only = await find_workspace(work, work.scope.workspace_id)
        return WorkspacePage([only] if only.id > after else [], None)
    rows = await statements.list_workspaces(work, after=after, limit=limit + 1)
    items = [Workspace.from_row(row, work.scope) for row in rows[:limit]]
    more = len(rows) > limit
    return WorkspacePage(items, encode_cursor(secret, _LISTING, items[-1].id) if more else None)


async def find_workspace(work: UnitOfWork, workspace_id: UUID) -> Workspace:
    """Return one workspace.

    Raises:
        WorkspaceNotFound: the organization has no such workspace, or the caller may not see it.
    """
    row = None
    if work.scope.workspace_id in (None, workspace_id):
        row = await statements.get_workspace(work, workspace_id=workspace_id)
    if row is None:
        raise WorkspaceNotFound
    return Workspace.from_row(row, work.scope)


async def create_workspace(work: UnitOfWork, name: str) -> Workspace:
    """Make a workspace.

    Raises:
        WorkspaceExists: there is one of this name; of two who make it at once, one is told so.
    """
    row = await statements.insert_workspace(
        work, org_id=work.scope.org_id, workspace_id=new_id(), name=name
    )
    if row is None:
        raise WorkspaceExists
    workspace = Workspace.from_row(row, work.scope)
    await record(
        work,
        "workspace.created",
        target_type="workspace",
        target_id=str(workspace.id),
        after={"name": name},
    )
    _announce_workspaces(work)
    return workspace


async def rename_workspace(work: UnitOfWork, workspace_id: UUID, name: str) -> Workspace:
    """Give a workspace another name.

    Raises:
        WorkspaceNotFound: the organization has no such workspace.
        WorkspaceExists: another one has this name.
    """
    try:
        row = await statements.rename_workspace(work, workspace_id=workspace_id, name=name)
    except asyncpg.UniqueViolationError as error:
        raise WorkspaceExists from error
    if row is None:
        raise WorkspaceNotFound
    if row["former"] != name:
        await record(
            work,
            "workspace.changed",
            target_type="workspace",
            target_id=str(workspace_id),
            before={"name": row["former"]},
            after={"name": name},
        )
        _announce_workspaces(work)
    return Workspace.from_row(row, work.scope)


async def delete_workspace(work: UnitOfWork, workspace_id: UUID) -> None:
    """Delete an empty workspace, with its sources, ended jobs and the API keys limited to it.

    Documents are deleted one by one, each with what makes it findable, so a workspace that
    still holds some is left alone.

    Raises:
        WorkspaceNotFound: the organization has no such workspace.
        LastWorkspace: it is the only one; also when two are deleted at once.
        WorkspaceNotEmpty: it holds documents, reconciliations or unfinished jobs.
    """
    # Imports hold what is used before they refer to a workspace, and so does this. It also lets
    # one deletion at a time go on, so that two of them do not leave nothing.
    await hold_usage(work)
    held = await statements.hold_workspace(work, workspace_id=workspace_id)
    if held is None:
        raise WorkspaceNotFound
    # A statement of its own: it sees what others committed before the lines above let us go on.
    contents = await statements.contents_of_workspace(work, workspace_id=workspace_id)
    if contents["is_last"]:
        raise LastWorkspace
    if contents["has_documents"]:
        raise WorkspaceNotEmpty("The workspace holds documents: delete them first.")
    if contents["has_reconciliations"]:
        raise WorkspaceNotEmpty("The workspace holds reconciliations: delete them first.")
    if contents["has_jobs"]:
        raise WorkspaceNotEmpty("Jobs of the workspace have not ended yet: wait for them.")
    keys = await statements.delete_keys_of_workspace(work, workspace_id=workspace_id)
    await statements.delete_workspace(work, workspace_id=workspace_id)
    await record(
        work,
        "workspace.deleted",
        target_type="workspace",
        target_id=str(workspace_id),
        before={"name": held["name"], "api_keys": [str(key["api_key_id"]) for key in keys]},
    )
    work.invalidate(*(f"{key['hash'].hex()}/key" for key in keys))
    if keys:
        work.invalidate(f"{work.scope.org_id.hex}/keys")
    _announce_workspaces(work)


async def set_workspace_role(
    work: UnitOfWork, workspace_id: UUID, user_id: UUID, role: Role
) -> Member:
    """Give a member a role in a workspace that is narrower than theirs in the organization.

    Raises:
        WorkspaceNotFound, MemberNotFound: the organization has no such workspace or member.
        NotAllowed: the member's role, or the new one, is above the caller's.
        RoleNotNarrower: the role is not narrower than the member's in the organization.
    """
    await find_workspace(work, workspace_id)
    whole = await hold_member(work, user_id)
    if role.value not in roles_below(whole):
        raise RoleNotNarrower(
            f"The role {role} is not narrower than {whole}, which the member is in the "
            "organization; to take back a narrower role, delete it."
        )
    _require_within_own_there(work, workspace_id, user_id, role)
    row = await statements.set_workspace_role(
        work, org_id=work.scope.org_id, workspace_id=workspace_id, user_id=user_id, role=role.value
    )
    announce(work, user_id)
    await record(
        work,
        "workspace_role.set",
        target_type="member",
        target_id=str(user_id),
        before={"workspace_id": str(workspace_id), "role": row["former"]},
        after={"workspace_id": str(workspace_id), "role": role},
    )
    return await find_member(work, user_id)


async def remove_workspace_role(work: UnitOfWork, workspace_id: UUID, user_id: UUID) -> None:
    """Let a member have the role of the organization in a workspace again.

    Raises:
        WorkspaceNotFound: the organization has no such workspace.
        MemberNotFound: it has no such member, or one without a narrower role there.
        NotAllowed: the role that the member would have is above the caller's.
    """
    await find_workspace(work, workspace_id)
    whole = await hold_member(work, user_id)
    _require_within_own_there(work, workspace_id, user_id, whole)
    former = await statements.delete_workspace_role(
        work, workspace_id=workspace_id, user_id=user_id
    )
    if former is None:
        raise MemberNotFound("The member has no narrower role in this workspace.")
    announce(work, user_id)
    await record(
        work,
        "workspace_role.removed",
        target_type="member",
        target_id=str(user_id),
        before={"workspace_id": str(workspace_id), "role": former},
    )


def _require_within_own_there(
    work: UnitOfWork, workspace_id: UUID, user_id: UUID, role: Role
) -> None:
    """Keep a caller with a narrower role of their own from granting more than that there."""
    require_within_own(work.scope, role)
    own = work.scope.role_in(WorkspaceId(workspace_id))
    if not own.covers(role):
        whose = "your own" if user_id == work.scope.user_id else "a"
        raise NotAllowed(f"This gives {whose} role above yours in this workspace, which is {own}.")


def _announce_workspaces(work: UnitOfWork) -> None:
    work.invalidate(f"{work.scope.org_id.hex}/workspaces")
