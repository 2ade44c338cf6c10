"""Make API keys: shown once, kept as a hash."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from muniment.db import Role, UnitOfWork, load_statements, new_id
from muniment.errors import ValidationFailed
from muniment.tenancy.audit.record import record
from muniment.tenancy.errors import WorkspaceNotFound
from muniment.tenancy.keys.schemas import ApiKey, NewApiKey
from muniment.tenancy.members.membership import require_grantable
from muniment.tenancy.secrets import hash_of, new_secret

statements = load_statements("muniment.tenancy.keys")

_PREFIX_LENGTH = 12


async def create_api_key(
    work: UnitOfWork,
    name: str,
    role: Role,
    *,
    workspace_id: UUID | None = None,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
) -> NewApiKey:
    """Create a key of the organization and return it: the only time that it can be seen.

    Raises:
        NotAllowed: the role is above the caller's, also in some workspace only.
        WorkspaceNotFound: the organization has no such workspace.
        ValidationFailed: it would have expired already, or at a time that cannot be stored.
    """
    require_grantable(work, role, workspace_id)
    if expires_at is not None:
        _require_future(expires_at)
    made = await insert_key(
        work,
        name=name,
        role=role,
        workspace_id=workspace_id,
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
    )
    await record(
        work,
        "api_key.created",
        target_type="api_key",
        target_id=str(made.id),
        after=rights_of(made),
    )
    return made


def _require_future(expires_at: datetime) -> None:
    try:
        ahead = expires_at.astimezone(UTC) > datetime.now(UTC)
        detail = "This time has passed."
    except OverflowError:  # the last hours of the year 9999 elsewhere are no time in UTC
        ahead, detail = False, "This time is too far away."
    if not ahead:
        raise ValidationFailed(errors=[{"pointer": "#/expires_at", "detail": detail}])


async def insert_key(work: UnitOfWork, *, role: Role, **rights: Any) -> NewApiKey:
    """Make a key without asking whether the caller may.

    Raises:
        WorkspaceNotFound: the organization has no such workspace.
    """
    key = new_secret("mun_")
    try:
        row = await statements.insert_api_key(
            work,
            org_id=work.scope.org_id,
            api_key_id=new_id(),
            prefix=key[:_PREFIX_LENGTH],
            hash=hash_of(key),
            role=role.value,
            created_by=work.scope.actor,
            **rights,
        )
    except asyncpg.ForeignKeyViolationError as error:
        # The key refers to the workspace together with the organization, so one of another
        # organization is none here.
        raise WorkspaceNotFound from error
    work.invalidate(f"{work.scope.org_id.hex}/keys")
    return NewApiKey.from_row(row, key=key)


def rights_of(key: ApiKey) -> dict[str, Any]:
    """Return what the audit log tells of a key: what it opens, and nothing that opens it."""
    return {
        "name": key.name,
        "prefix": key.prefix,
        "role": key.role.value,
        "workspace_id": key.workspace_id,
        "expires_at": key.expires_at,
        "requests_per_minute": key.requests_per_minute,
    }
