"""Members of an organization: listing them, changing their role, ending a membership."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from muniment.db import Role, UnitOfWork, WorkspaceId, load_statements
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.tenancy.audit.record import record
from muniment.tenancy.errors import NotAllowed
from muniment.tenancy.members.errors import LastOwner, MemberNotFound
from muniment.tenancy.members.schemas import Member, MemberPage
from muniment.tenancy.permissions import require_within_own

statements = load_statements("muniment.tenancy.members")

_LISTING = "members"
_FIRST = UUID(int=0)
_OWNER_IS_KEPT = "organization_keeps_an_owner"
"""The constraint in the database that holds also against two who act at once."""


async def page_of_members(
    work: UnitOfWork, *, limit: int, cursor: str | None, secret: bytes
) -> MemberPage:
    """Return a page of members with their narrower roles, in one statement.

    Raises:
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    after = _FIRST if cursor is None else decode_cursor(secret, _LISTING, cursor, UUID)
    rows = await statements.list_members(
        work, after=after, workspace_id=work.scope.workspace_id, limit=limit + 1
    )
    items = [Member.from_row(row) for row in rows[:limit]]
    more = len(rows) > limit
    return MemberPage(items, encode_cursor(secret, _LISTING, items[-1].user_id) if more else None)


async def find_member(work: UnitOfWork, user_id: UUID) -> Member:
    """Return one member.

    Raises:
        MemberNotFound: the organization has no such member.
    """
    row = await statements.get_member(work, user_id=user_id, workspace_id=work.scope.workspace_id)
    if row is None:
        raise MemberNotFound
    return Member.from_row(row)


async def change_role(work: UnitOfWork, user_id: UUID, role: Role) -> Member:
    """Give a member another role; roles in workspaces that are not narrower any more go.

    Raises:
        MemberNotFound: the organization has no such member.
        NotAllowed: the member's role, or the new one, is above the caller's.
        LastOwner: nobody else owns the organization.
    """
    former = await hold_member(work, user_id)
    require_within_own(work.scope, role)
    if role is not former:
        try:
            await statements.set_member_role(work, user_id=user_id, role=role.value)
        except asyncpg.CheckViolationError as error:
            raise _told(error) from error
        await statements.drop_wider_workspace_roles(
            work, user_id=user_id, narrower=roles_below(role)
        )
        announce(work, user_id)
        await record(
            work,
            "member.role_changed",
            target_type="member",
            target_id=str(user_id),
            before={"role": former},
            after={"role": role},
        )
    return await find_member(work, user_id)


async def end_membership(work: UnitOfWork, user_id: UUID) -> None:
    """Remove a member; their sessions are in no organization from then on.

    Raises:
        MemberNotFound: the organization has no such member.
        NotAllowed: the member's role is above the caller's.
        LastOwner: nobody else owns the organization.
    """
    former = await hold_member(work, user_id)
    try:
        await statements.delete_member(work, user_id=user_id)
    except asyncpg.CheckViolationError as error:
        raise _told(error) from error
    announce(work, user_id)
    await record(
        work,
        "member.removed",
        target_type="member",
        target_id=str(user_id),
        before={"role": former},
    )


async def hold_member(work: UnitOfWork, user_id: UUID) -> Role:
    """Return the role of a member whom the caller may act on, unchanged until the commit.

    Where the caller is a member too, their role is read again and held as well: what the
    boundary knew when the request came in may have changed since.

    Raises:
        MemberNotFound: the organization has no such member.
        NotAllowed: the member's role is above the caller's, or the caller is no member any more.
    """
    caller = work.scope.user_id
    wanted = [user_id] if caller is None else [user_id, caller]
    rows = await statements.hold_members(work, user_ids=wanted)
    roles = {row["user_id"]: Role(row["role"]) for row in rows}
    if caller is not None and not roles.get(caller, Role.VIEWER).covers(work.scope.role):
        raise NotAllowed("Your own role has just changed.")
    role = roles.get(user_id)
    if role is None:
        raise MemberNotFound
    require_within_own(work.scope, role)
    return role


def require_grantable(work: UnitOfWork, role: Role, workspace_id: UUID | None) -> None:
    """Let the caller pass if `role` is above theirs nowhere that it would hold.

    Something that acts by itself, as an API key, knows nothing of the narrower roles of whoever
    made it, who would so get around them.

    Args:
        work: transaction of the caller.
        role: to be given.
        workspace_id: where it would hold; in the whole organization if None.

    Raises:
        NotAllowed: it is above the caller's, there or somewhere.
    """
    require_within_own(work.scope, role)
    scope = work.scope
    if workspace_id is None:
        narrowest = min(scope.workspace_roles.values(), key=list(Role).index, default=scope.role)
    else:
        narrowest = scope.role_in(WorkspaceId(workspace_id))
    if not narrowest.covers(role):
        raise NotAllowed(f"The role {role} is above yours in a workspace, which is {narrowest}.")


def roles_below(role: Role) -> list[str]:
    """Return the names of the roles that allow less than `role`."""
    return [other.value for other in Role if role.covers(other) and other is not role]


def roles_up_to(role: Role) -> list[str]:
    """Return the names of the roles that allow no more than `role`."""
    return [*roles_below(role), role.value]


def announce(work: UnitOfWork, user_id: UUID) -> None:
    """Let the commit tell every process that it knows a member no longer."""
    partition = work.scope.org_id.hex
    work.invalidate(f"{partition}/member-{user_id.hex}", f"{partition}/members")


def _told(error: asyncpg.CheckViolationError) -> Exception:
    return LastOwner() if error.constraint_name == _OWNER_IS_KEPT else error
