"""Change, rotate and revoke API keys."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import asyncpg
from msgspec import UNSET

from muniment.db import Role, UnitOfWork, load_statements
from muniment.tenancy.audit.record import record
from muniment.tenancy.keys.create import insert_key, rights_of
from muniment.tenancy.keys.errors import ApiKeyEnded, ApiKeyNotFound, ApiKeyReplaced
from muniment.tenancy.keys.schemas import ApiKey, ChangeApiKey, NewApiKey
from muniment.tenancy.permissions import require_within_own

statements = load_statements("muniment.tenancy.keys")


async def change_api_key(work: UnitOfWork, api_key_id: UUID, wanted: ChangeApiKey) -> ApiKey:
    """Give a key another name or rate limit.

    Raises:
        ApiKeyNotFound: the organization has no such key.
        NotAllowed: the key's role is above the caller's.
    """
    held = await _hold(work, api_key_id)
    require_within_own(work.scope, Role(held["role"]))
    asked = {"name": wanted.name, "requests_per_minute": wanted.requests_per_minute}
    changes = {
        name: value for name, value in asked.items() if value is not UNSET and value != held[name]
    }
    if not changes:
        return ApiKey.from_row(held)
    before = {name: held[name] for name in changes}
    values = {name: held[name] for name in asked} | changes
    row = await statements.change_api_key(work, api_key_id=api_key_id, **values)
    await record(
        work,
        "api_key.changed",
        target_type="api_key",
        target_id=str(api_key_id),
        before=before,
        after=changes,
    )
    _announce(work, held)
    return ApiKey.from_row(row)


async def rotate_api_key(work: UnitOfWork, api_key_id: UUID, overlap: timedelta) -> NewApiKey:
    """Put a new key of the same rights in a key's place, in this one transaction.

    The old key ends with the commit, or, with an overlap, when that is over; it never lasts
    longer than it did. Of two who rotate a key at the same time, one is refused.

    Raises:
        ApiKeyNotFound: the organization has no such key.
        NotAllowed: the key's role is above the caller's, who would come to hold it.
        ApiKeyReplaced: it was rotated before.
        ApiKeyEnded: it was revoked or has expired.
    """
    held = await _hold(work, api_key_id)
    require_within_own(work.scope, Role(held["role"]))
    if held["replaced_by"] is not None:
        raise ApiKeyReplaced(
            "This API key was rotated before; rotate the key that took its place: "
            f"{held['replaced_by']}."
        )
    if held["revoked_at"] is not None or held["expired"]:
        raise ApiKeyEnded
    old = ApiKey.from_row(held)
    made = await insert_key(
        work,
        name=old.name,
        role=old.role,
        workspace_id=old.workspace_id,
        expires_at=old.expires_at,
        requests_per_minute=old.requests_per_minute,
    )
    await statements.replace_api_key(
        work, api_key_id=api_key_id, replaced_by=made.id, overlap=overlap
    )
    await record(
        work,
        "api_key.rotated",
        target_type="api_key",
        target_id=str(api_key_id),
        before={"prefix": old.prefix},
        after={
            "api_key_id": made.id,
            **rights_of(made),
            "overlap_seconds": round(overlap.total_seconds()),
        },
    )
    _announce(work, held)
    return made


async def revoke_api_key(work: UnitOfWork, api_key_id: UUID) -> None:
    """End a key: the next request with it is refused by every process.

    Any key, whatever its role: stopping one that leaked must not wait for its owner. A key
    that was revoked before stays as it is.

    Raises:
        ApiKeyNotFound: the organization has no such key.
    """
    held = await _hold(work, api_key_id)
    if held["revoked_at"] is not None:
        return
    await statements.revoke_api_key(work, api_key_id=api_key_id)
    await record(
        work,
        "api_key.revoked",
        target_type="api_key",
        target_id=str(api_key_id),
        before=rights_of(ApiKey.from_row(held)),
    )
    _announce(work, held)


async def _hold(work: UnitOfWork, api_key_id: UUID) -> asyncpg.Record:
    row: asyncpg.Record | None = await statements.hold_api_key(work, api_key_id=api_key_id)
    if row is None:
        raise ApiKeyNotFound
    return row


def _announce(work: UnitOfWork, held: asyncpg.Record) -> None:
    work.invalidate(f"{held['hash'].hex()}/key", f"{work.scope.org_id.hex}/keys")
