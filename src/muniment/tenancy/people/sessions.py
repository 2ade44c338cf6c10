"""Sessions: opened at sign-in, known by an opaque token of which only the hash is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from msgspec import Struct

from muniment.db import Database, OrgId, UnitOfWork, UserId, load_statements, new_id
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.settings import Settings
from muniment.tenancy.errors import OrganizationNotFound
from muniment.tenancy.people.csrf import csrf_token
from muniment.tenancy.people.errors import SessionNotFound
from muniment.tenancy.secrets import hash_of, new_secret

statements = load_statements("muniment.tenancy.people")

MOST_SESSIONS = 100
"""Of one user; opening another ends the oldest. It bounds what ending all of them announces."""

_LONGEST_USER_AGENT = 500
_LISTING = "sessions"


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """How sessions of this installation are made."""

    secret: bytes
    """Of the installation; CSRF tokens are derived from it."""
    idle: timedelta
    """Without a request for so long, a session ends."""
    absolute: timedelta
    """After so long it ends in any case."""

    @classmethod
    def of(cls, settings: Settings, secret: bytes) -> SessionTerms:
        """Return the terms that the settings ask for."""
        return cls(
            secret,
            timedelta(hours=settings.session_idle_hours),
            timedelta(days=settings.session_absolute_days),
        )


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that was just opened: the only time that its token is known."""

    token: str
    """256 random bits in base64url, for the cookie."""
    session_id: UUID
    csrf_token: str
    expires_at: datetime


class Session(Struct, frozen=True):
    """A browser or program that a person is signed in with."""

    id: UUID
    current: bool
    organization_id: UUID | None
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    address: str | None
    user_agent: str | None


class SessionPage(Struct, frozen=True):
    """Sessions, newest first, and the cursor of those that follow."""

    items: list[Session]
    next_cursor: str | None


async def open_session(
    work: UnitOfWork,
    user_id: UserId,
    *,
    terms: SessionTerms,
    org_id: OrgId | None,
    address: str | None,
    user_agent: str | None,
) -> NewSession:
    """Open a session of the transaction's person, with a token that nobody has seen before.

    A browser never keeps a session over a sign-in, so one that somebody planted in it
    (session fixation) is worth nothing.

    Args:
        work: transaction of the person: `database.person(user_id)`, or of a scope with this
            `user_id`.
        user_id: who signs in.
        terms: of this installation.
        org_id: organization to work in; the caller made sure that the person is its member.
        address: where the request came from.
        user_agent: what the client calls itself; cut to 500 characters.
    """
    token = new_secret()
    token_hash = hash_of(token)
    session_id = new_id()
    expires_at = await statements.insert_session(
        work,
        user_id=user_id,
        session_id=session_id,
        token_hash=token_hash,
        org_id=org_id,
        absolute=terms.absolute,
        address=address,
        user_agent=None if user_agent is None else user_agent[:_LONGEST_USER_AGENT],
    )
    _announce(
        work, await statements.delete_oldest_sessions(work, user_id=user_id, keep=MOST_SESSIONS)
    )
    return NewSession(token, session_id, csrf_token(terms.secret, token_hash), expires_at)


async def end_session(work: UnitOfWork, user_id: UserId, session_id: UUID) -> None:
    """End a session of the transaction's person, at once on every process.

    Raises:
        SessionNotFound: the person has no such session.
    """
    ended = await statements.delete_session(work, user_id=user_id, session_id=session_id)
    if not ended:
        raise SessionNotFound
    _announce(work, ended)


async def end_all_sessions(work: UnitOfWork, user_id: UserId, *, keep: UUID | None = None) -> int:
    """End every session of the transaction's person but `keep`; return how many there were."""
    ended = await statements.delete_sessions(work, user_id=user_id, keep=keep)
    _announce(work, ended)
    return len(ended)


async def move_session(work: UnitOfWork, user_id: UserId, session_id: UUID, org_id: OrgId) -> None:
    """Let a session of the transaction's person work in another organization.

    Raises:
        OrganizationNotFound: the person is not its member, or the session has ended.
    """
    changed = await statements.move_session(
        work, user_id=user_id, session_id=session_id, org_id=org_id
    )
    if not changed:
        raise OrganizationNotFound
    _announce(work, changed)


async def list_sessions(
    work: UnitOfWork,
    user_id: UserId,
    current: UUID,
    *,
    terms: SessionTerms,
    limit: int,
    cursor: str | None,
) -> SessionPage:
    """Return a page of the sessions that the transaction's person is signed in with.

    Raises:
        InvalidCursor: the cursor is not one of this listing.
    """
    after = None if cursor is None else decode_cursor(terms.secret, _LISTING, cursor, UUID)
    rows = await statements.list_sessions(
        work, user_id=user_id, idle=terms.idle, after=after, limit=limit + 1
    )
    items = [
        Session(
            id=row["session_id"],
            current=row["session_id"] == current,
            organization_id=row["org_id"],
            created_at=row["created_at"],
            last_seen_at=row["last_seen_at"],
            expires_at=row["expires_at"],
            address=row["address"],
            user_agent=row["user_agent"],
        )
        for row in rows[:limit]
    ]
    more = len(rows) > limit
    return SessionPage(items, encode_cursor(terms.secret, _LISTING, items[-1].id) if more else None)


async def purge_expired(database: Database, terms: SessionTerms) -> int:
    """Delete sessions that have ended by themselves and links that were not used in time.

    Returns how many rows went. Nobody needs to be told: whoever still caches such a session
    looks at its times.
    """
    purged = 0
    while True:
        async with database.single_statement() as work:
            rows: int = await statements.purge_expired(work, idle=terms.idle)
        purged += rows
        if rows == 0:
            return purged


def _announce(work: UnitOfWork, ended: Iterable[asyncpg.Record]) -> None:
    work.invalidate(*(f"{row['token_hash'].hex()}/session" for row in ended))
