"""Entries of the audit log as clients see them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from msgspec import Meta, Struct


class AuditEntry(Struct, frozen=True):
    """Who did what to what, from where."""

    id: UUID
    at: datetime
    actor: Annotated[
        str, Meta(description="`user:…`, `api_key:…`, `operator:…`, `cli` or `first_start`.")
    ]
    action: str
    target_type: str
    target_id: str | None
    address: Annotated[str | None, Meta(description="Where the actor connected from.")]
    before: Annotated[
        dict[str, Any] | None, Meta(description="Values that were changed, as they were.")
    ]
    after: Annotated[dict[str, Any] | None, Meta(description="The same values as they are now.")]

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> AuditEntry:
        """Read the columns that the statements of this room select."""
        return cls(
            id=row["entry_id"],
            at=row["at"],
            actor=row["actor"],
            action=row["action"],
            target_type=row["target_type"],
            target_id=row["target_id"],
            address=row["address"],
            before=row["before"],
            after=row["after"],
        )


class AuditPage(Struct, frozen=True):
    """Entries, newest first, and the cursor of those that follow."""

    items: list[AuditEntry]
    next_cursor: str | None


class ExportFormat(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"
    CSV = "csv"
