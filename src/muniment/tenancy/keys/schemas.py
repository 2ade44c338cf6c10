"""API keys as clients see them, and what is sent to make and change them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import asyncpg
from msgspec import UNSET, Meta, Struct, UnsetType

from muniment.db import Role

LONGEST_OVERLAP = 7 * 24 * 3600
"""Seconds for which a rotated key may be honoured beside the one that took its place."""

Name = Annotated[str, Meta(min_length=1, max_length=200, description="What the key is for.")]
RequestsPerMinute = Annotated[
    Annotated[int, Meta(ge=1, le=1_000_000)] | None,
    Meta(description="A limit of its own, 1 to 1,000,000, beside that of the organization."),
]


class ApiKey(Struct, frozen=True):
    """A key, without the secret: that one is shown when the key is made and never again."""

    id: UUID
    name: str
    prefix: Annotated[str, Meta(description="How the key begins.")]
    role: Role
    workspace_id: Annotated[
        UUID | None, Meta(description="The only workspace that the key opens, if it is limited.")
    ]
    requests_per_minute: int | None
    created_by: Annotated[
        str | None,
        Meta(description="Who made it, as the audit log names them; stays when a member goes."),
    ]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: Annotated[datetime | None, Meta(description="To the minute.")]
    revoked_at: datetime | None
    replaced_by: Annotated[
        UUID | None, Meta(description="The key that took its place when it was rotated.")
    ]

    @classmethod
    def from_row(cls, row: asyncpg.Record, **shown: str) -> Self:
        """Read the columns that the statements of this room select; add what is `shown` once."""
        return cls(
            id=row["api_key_id"],
            name=row["name"],
            prefix=row["prefix"],
            role=Role(row["role"]),
            workspace_id=row["workspace_id"],
            requests_per_minute=row["requests_per_minute"],
            created_by=row["created_by"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            last_used_at=row["last_used_at"],
            revoked_at=row["revoked_at"],
            replaced_by=row["replaced_by"],
            **shown,
        )


class NewApiKey(ApiKey, frozen=True):
    """A key that was just made: the only time that it is shown."""

    key: Annotated[str, Meta(description="Send it as `Authorization: Bearer mun_…`.")]


class ApiKeyPage(Struct, frozen=True):
    """Keys, newest first, and the cursor of those that follow."""

    items: list[ApiKey]
    next_cursor: str | None


class CreateApiKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A key to make."""

    name: Name
    role: Annotated[Role, Meta(description="At most your own.")]
    workspace_id: Annotated[
        UUID | None, Meta(description="The only workspace that the key shall open.")
    ] = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    requests_per_minute: RequestsPerMinute = None


class ChangeApiKey(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of a key; what is left out stays."""

    name: Name | UnsetType = UNSET
    requests_per_minute: RequestsPerMinute | UnsetType = UNSET


class RotateApiKey(Struct, frozen=True, forbid_unknown_fields=True):
    """How to rotate a key."""

    overlap_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=LONGEST_OVERLAP,
            description="For so long the old key is honoured too; 0 revokes it at once.",
        ),
    ] = 0
