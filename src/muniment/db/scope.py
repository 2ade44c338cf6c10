"""The tenant as a type: who asks, and for which organization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import uuid_utils.compat

OrgId = NewType("OrgId", UUID)
WorkspaceId = NewType("WorkspaceId", UUID)
UserId = NewType("UserId", UUID)


class Role(StrEnum):
    """What a member or key may do in an organization, from least to most."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"

    def covers(self, needed: Role) -> bool:
        """Tell whether this role includes everything that `needed` allows."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class TenantScope:
    """The organization on whose behalf a transaction runs.

    Only the authentication boundary (`tenancy.authentication`) and the worker (`jobs`)
    mint one; a test keeps it so. Every query of a room takes a scope through its unit of
    work, so nothing can forget it or default it.
    """

    org_id: OrgId
    workspace_id: WorkspaceId | None
    """Set when the caller is limited to one workspace."""
    actor: str
    """Who acts, for the audit log and log lines: ``api_key:…``, ``job:…``, ``cli``."""
    role: Role
    """What the caller may do in the organization; see also `role_in`."""
    user_id: UserId | None = None
    """The person who acts; opens the rows that belong to that person."""
    workspace_roles: Mapping[WorkspaceId, Role] = field(default_factory=dict)
    """Workspaces in which the caller may do less than `role`."""
    address: str | None = None
    """Where the caller connects from, for the audit log."""

    def role_in(self, workspace_id: WorkspaceId) -> Role:
        """Return what the caller may do in a workspace."""
        narrower = self.workspace_roles.get(workspace_id, self.role)
        return narrower if self.role.covers(narrower) else self.role


def new_id() -> UUID:
    """Return a fresh UUIDv7 (RFC 9562): ids sort by creation time."""
    return uuid_utils.compat.uuid7()


def first_id_at(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of a moment: it leads with Unix time in ms (RFC 9562, 5.7).

    A moment within a millisecond is after what was made in that millisecond. One that names no
    zone is in UTC.
    """
    at = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    microseconds = round(at.timestamp() * 1_000_000)
    milliseconds = min(max(0, -(-microseconds // 1000)), 2**48 - 1)
    return UUID(int=milliseconds << 80)
