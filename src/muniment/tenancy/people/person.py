"""A person who is signed in, as handlers see one."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from muniment.db import OrgId, UserId


@dataclass(frozen=True, slots=True)
class Person:
    """Who sent a request with a session, with or without an organization.

    The boundary makes one from a valid session; see `muniment.tenancy.authentication`.
    """

    user_id: UserId
    session_id: UUID
    token_hash: bytes
    """SHA-256 of the session's token."""
    email: str
    """Normalised, in lower case."""
    name: str
    org_id: OrgId | None
    """The organization that the session works in."""
    address: str | None
    """Where the request came from."""
