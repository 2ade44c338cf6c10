"""List the audit log of the organization of a transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from muniment.db import UnitOfWork, first_id_at, load_statements
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.tenancy.audit.actions import AuditAction
from muniment.tenancy.audit.schemas import AuditEntry, AuditPage

_statements = load_statements("muniment.tenancy.audit")

_LISTING = "audit_log"
_END_OF_TIME = UUID(int=2**128 - 1)
_BEGINNING = UUID(int=0)


class AuditFilter(msgspec.Struct, frozen=True):
    """Which entries to list; what is None does not matter."""

    actor: str | None = None
    action: AuditAction | None = None
    target_type: str | None = None
    target_id: str | None = None
    since: datetime | None = None
    """At this time or later."""
    until: datetime | None = None
    """Before this time."""


async def list_entries(
    work: UnitOfWork, wanted: AuditFilter, *, limit: int, cursor: str | None, secret: bytes
) -> AuditPage:
    """Return a page of the audit log, newest first, in one statement.

    Raises:
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    before = _END_OF_TIME if cursor is None else decode_cursor(secret, _LISTING, cursor, UUID)
    found = await entries_before(work, wanted, before, limit + 1)
    items = found[:limit]
    more = len(found) > limit
    return AuditPage(items, encode_cursor(secret, _LISTING, items[-1].id) if more else None)


async def entries_before(
    work: UnitOfWork, wanted: AuditFilter, before: UUID | None, limit: int
) -> list[AuditEntry]:
    """Return the newest entries, `limit` at most, that are older than `before` if it is given."""
    end = _END_OF_TIME if wanted.until is None else first_id_at(wanted.until)
    rows = await _statement(wanted)(
        work,
        actor=wanted.actor,
        action=wanted.action,
        target_type=wanted.target_type,
        target_id=wanted.target_id,
        before=end if before is None else min(before, end),
        since=_BEGINNING if wanted.since is None else first_id_at(wanted.since),
        limit=limit,
    )
    return [AuditEntry.from_row(row) for row in rows]


def _statement(wanted: AuditFilter) -> Any:
    """Return the statement whose index fits the filter best."""
    if wanted.target_id is not None:
        return _statements.list_entries_by_target
    if wanted.actor is not None and wanted.action is not None:
        return _statements.list_entries_by_actor_and_action
    if wanted.actor is not None:
        return _statements.list_entries_by_actor
    if wanted.action is not None:
        return _statements.list_entries_by_action
    if wanted.target_type is not None:
        return _statements.list_entries_by_target_type
    return _statements.list_entries
