"""Members, workspaces and invitations as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
from msgspec import Meta, Struct

from muniment.db import Role, TenantScope, WorkspaceId
from muniment.tenancy.people.schemas import GivenPassword, Name, Token


class WorkspaceRole(Struct, frozen=True):
    """A role in one workspace that is narrower than the role in the organization."""

    workspace_id: UUID
    role: Role


class Member(Struct, frozen=True):
    """A person of an organization."""

    user_id: UUID
    name: str
    email: str
    role: Role
    workspace_roles: list[WorkspaceRole]
    joined_at: datetime

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Member:
        """Read the columns that the statements of this room select."""
        return cls(
            user_id=row["user_id"],
            name=row["name"],
            email=row["email"],
            role=Role(row["role"]),
            workspace_roles=[
                WorkspaceRole(UUID(narrower["workspace_id"]), Role(narrower["role"]))
                for narrower in row["workspace_roles"]
            ],
            joined_at=row["created_at"],
        )


class MemberPage(Struct, frozen=True):
    """Members, and the cursor of those that follow."""

    items: list[Member]
    next_cursor: str | None


class RoleChange(Struct, forbid_unknown_fields=True):
    """The role that somebody is to have."""

    role: Role


class Workspace(Struct, frozen=True):
    """A grouping of documents inside an organization."""

    id: UUID
    name: str
    role: Annotated[Role, Meta(description="What the caller may do in it.")]
    created_at: datetime

    @classmethod
    def from_row(cls, row: asyncpg.Record, tenant: TenantScope) -> Workspace:
        """Read the columns that the statements of this room select."""
        return cls(
            id=row["workspace_id"],
            name=row["name"],
            role=tenant.role_in(WorkspaceId(row["workspace_id"])),
            created_at=row["created_at"],
        )


class WorkspacePage(Struct, frozen=True):
    """Workspaces, oldest first, and the cursor of those that follow."""

    items: list[Workspace]
    next_cursor: str | None


class WorkspaceName(Struct, forbid_unknown_fields=True):
    """How a workspace is to be called; no two of an organization share a name."""

    name: Name


class Invitation(Struct, frozen=True):
    """An open invitation to become a member."""

    id: UUID
    email: str
    role: Role
    invited_by: Annotated[str, Meta(description="Who invited, as the audit log names them.")]
    created_at: datetime
    expires_at: datetime

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Invitation:
        """Read the columns that the statements of this room select."""
        return cls(
            id=row["invitation_id"],
            email=row["email"],
            role=Role(row["role"]),
            invited_by=row["invited_by"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
        )


class InvitationPage(Struct, frozen=True):
    """Open invitations, newest first, and the cursor of those that follow."""

    items: list[Invitation]
    next_cursor: str | None


class NewInvitation(Struct, forbid_unknown_fields=True):
    """Whom to invite, and what they are to be."""

    email: Annotated[str, Meta(min_length=3, max_length=320)]
    role: Role


class SentInvitation(Invitation, frozen=True):
    """An invitation that was just made or renewed: the only time that its link is shown."""

    accept_url: str
    mailed: Annotated[bool, Meta(description="Whether the link was also sent by mail.")]


class Acceptance(Struct, forbid_unknown_fields=True):
    """The token of the link and, of whoever is not signed in, who they are.

    The name is that of a new account; the password that of a new account, or of yours.
    """

    token: Token
    name: Name | None = None
    password: GivenPassword | None = None


class OfferedInvitation(Struct, frozen=True):
    """An invitation that waits for the person who asks."""

    id: UUID
    organization_id: UUID
    organization: str
    role: Role
    expires_at: datetime


class OfferedInvitations(Struct, frozen=True):
    """The newest invitations, a hundred at most, for a verified e-mail address."""

    items: list[OfferedInvitation]


class NewOrganization(Struct, forbid_unknown_fields=True):
    """An organization that the person who asks will own."""

    name: Name
