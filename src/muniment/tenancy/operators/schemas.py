"""Organizations as the operator sees them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
from msgspec import Meta, Struct

from muniment.tenancy.members.schemas import SentInvitation
from muniment.tenancy.people.schemas import Name
from muniment.tier_settings import TierName


class OrganizationUsage(Struct, frozen=True):
    """What an organization uses."""

    documents: int
    bytes: int
    """Of originals, as they were imported."""
    members: int


class OperatedOrganization(Struct, frozen=True):
    """One organization of the installation."""

    id: UUID
    name: str
    tier: TierName
    created_at: datetime
    suspended_at: datetime | None
    suspended_because: str | None
    usage: OrganizationUsage
    last_active_at: Annotated[
        datetime | None,
        Meta(description="When a key or a session was last used, or a document was imported."),
    ]

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> OperatedOrganization:
        """Read the columns of `list_organizations`."""
        return cls(
            id=row["org_id"],
            name=row["name"],
            tier=row["tier"],
            created_at=row["created_at"],
            suspended_at=row["suspended_at"],
            suspended_because=row["suspended_because"],
            usage=OrganizationUsage(row["documents"], row["bytes"], row["members"]),
            last_active_at=row["last_active_at"],
        )


class OrganizationPage(Struct, frozen=True):
    """Organizations, newest first, and the cursor of those that follow."""

    items: list[OperatedOrganization]
    next_cursor: str | None


class NewOrganization(Struct, forbid_unknown_fields=True):
    """An organization to create; with an address its owner is invited, else a key is made."""

    name: Name
    tier: TierName = "free"
    owner_email: Annotated[str, Meta(min_length=3, max_length=320)] | None = None


class CreatedOrganization(Struct, frozen=True):
    """A new organization and the way into it, which is shown this once."""

    organization: OperatedOrganization
    invitation: Annotated[
        SentInvitation | None, Meta(description="Of the owner, if an address was given.")
    ]
    api_key: Annotated[
        str | None, Meta(description="A key of the role owner, if no address was given.")
    ]


class OrganizationChange(Struct, forbid_unknown_fields=True):
    """What to change of an organization; what is left out stays."""

    name: Name | None = None
    tier: TierName | None = None


class Suspension(Struct, forbid_unknown_fields=True):
    """Why an organization is suspended; the operator's note, which its members do not see."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"\S")]
