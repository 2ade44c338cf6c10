"""API keys: made once, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from muniment.db import Role, UnitOfWork, WorkspaceId, load_statements, new_id

statements = load_statements("muniment.tenancy")

_PREFIX_LENGTH = 12


def hash_of(key: str) -> bytes:
    """Return what is stored of a key.

    A key carries 256 random bits, so a plain hash cannot be guessed back and needs no salt.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


async def create_api_key(
    work: UnitOfWork,
    name: str,
    role: Role,
    *,
    workspace_id: WorkspaceId | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Create a key of the organization and return it: the only time that it can be seen."""
    key = f"mun_{secrets.token_urlsafe(32)}"
    await statements.insert_api_key(
        work,
        org_id=work.scope.org_id,
        api_key_id=new_id(),
        name=name,
        prefix=key[:_PREFIX_LENGTH],
        hash=hash_of(key),
        role=role.value,
        workspace_id=workspace_id,
        expires_at=expires_at,
    )
    return key
