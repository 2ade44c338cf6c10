"""The organization and its caller, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
from msgspec import UNSET, Meta, Struct, UnsetType

from muniment.db import Role, WorkspaceId
from muniment.tenancy.permissions import Action
from muniment.tier_settings import TierName


class Organization(Struct, frozen=True):
    """An organization, as its members see it."""

    id: UUID
    name: str
    tier: TierName
    created_at: datetime

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Organization:
        """Read the columns that the statements of this room select."""
        return cls(
            id=row["org_id"], name=row["name"], tier=row["tier"], created_at=row["created_at"]
        )


class ChangeOrganization(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of the organization; what is left out stays."""

    name: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET


class OrganizationOfCaller(Struct, frozen=True):
    """The organization that a caller works in."""

    id: UUID
    name: str
    tier: TierName


class UserOfCaller(Struct, frozen=True):
    """The person who is signed in."""

    id: UUID
    email: str
    name: str


class Me(Struct, frozen=True):
    """Who the caller is, and what they may do."""

    kind: Annotated[
        Literal["api_key", "session"], Meta(description="What the caller was let in with.")
    ]
    organization: OrganizationOfCaller
    role: Role
    workspace_roles: Annotated[
        dict[WorkspaceId, Role],
        Meta(description="Workspaces in which the caller may do less than `role`, by id."),
    ]
    workspace_id: Annotated[
        UUID | None, Meta(description="The only workspace that the key opens, if it is limited.")
    ]
    api_key_id: UUID | None
    user: UserOfCaller | None
    actions: Annotated[
        list[Action],
        Meta(description="What the caller may do where no narrower role of a workspace applies."),
    ]
