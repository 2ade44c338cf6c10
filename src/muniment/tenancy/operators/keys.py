"""Operator keys: made once, shown once, kept as a hash that only the operator's role reads."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from muniment.db import UnitOfWork, load_statements, new_id
from muniment.tenancy.operators.errors import OperatorKeyNotFound
from muniment.tenancy.secrets import hash_of, new_secret

statements = load_statements("muniment.tenancy.operators")

PREFIX = "muo_"
_PREFIX_LENGTH = 12
MOST_KEYS = 1000
"""Keys that a listing shows."""


class OperatorKey(msgspec.Struct, frozen=True):
    """What is known of an operator key; never the key."""

    operator_key_id: UUID
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


async def create_operator_key(
    work: UnitOfWork, name: str, *, expires_at: datetime | None = None
) -> str:
    """Create a key and return it: the only time that it can be seen.

    Args:
        work: a transaction of the operator.
        name: what the key is for, 1 to 200 characters.
        expires_at: from when on it is refused.
    """
    key = new_secret(PREFIX)
    await statements.insert_operator_key(
        work,
        operator_key_id=new_id(),
        name=name,
        prefix=key[:_PREFIX_LENGTH],
        hash=hash_of(key),
        expires_at=expires_at,
    )
    return key


async def list_operator_keys(work: UnitOfWork) -> list[OperatorKey]:
    """Return the newest keys, at most `MOST_KEYS`."""
    rows = await statements.list_operator_keys(work, limit=MOST_KEYS)
    return [OperatorKey(**dict(row)) for row in rows]


async def revoke_operator_key(work: UnitOfWork, wanted: str) -> OperatorKey:
    """Revoke a key, by its id or its visible prefix; it is refused from the commit on.

    Raises:
        OperatorKeyNotFound: there is none, or it was revoked before.
    """
    row = await statements.revoke_operator_key(work, wanted=wanted)
    if row is None:
        raise OperatorKeyNotFound
    return OperatorKey(**dict(row))
