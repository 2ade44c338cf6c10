"""One request, or one step of a job, is one transaction under one organization."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg

from muniment.db.announcements import notifications, require_tags
from muniment.db.statements import observed

if TYPE_CHECKING:
    from muniment.db.scope import TenantScope, UserId


IDLE_IN_TRANSACTION_MS = 60_000
"""Milliseconds after which the server ends a session that leaves its transaction alone."""
ROLLBACK_SECONDS = 5.0
"""Time for a rollback; where it does not come the connection is given up, which ends it too."""


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """An open transaction and the organization that it runs for.

    Rooms run their statements on it and never commit; the boundary that opened it does.
    """

    connection: asyncpg.Connection[Any]
    _scope: TenantScope | None
    invalidated: set[str] = field(default_factory=set)
    """Cache tags that the commit will announce."""

    @property
    def scope(self) -> TenantScope:
        """The organization of this transaction.

        Raises:
            LookupError: the transaction was opened without an organization.
        """
        if self._scope is None:
            raise LookupError("this transaction belongs to no organization")
        return self._scope

    def invalidate(self, *tags: str) -> None:
        """Let the commit tell every process that what is cached under these tags is stale.

        A tag is written ``partition/name``. Nothing is announced when the transaction is
        rolled back.

        Raises:
            ValueError: a tag is not well-formed.
        """
        require_tags(tags)
        self.invalidated.update(tags)


def begin_command(
    scope: TenantScope | None,
    *,
    statement_timeout_ms: int,
    read_only: bool = False,
    user_id: UserId | None = None,
) -> str:
    """Return the command that opens a transaction and sets its organization, person and limits.

    They travel as one simple-protocol command: a round trip each would cost more than most of
    our statements do. The limits hold for the transaction alone, so that they work through
    PgBouncer too. Somebody who waits for a lock gives up well before the statement would be
    cancelled, so that what is told is the lock.
    """
    begin = "BEGIN READ ONLY" if read_only else "BEGIN"
    org_id = "" if scope is None else scope.org_id.hex
    person = scope.user_id if scope is not None else user_id
    person_id = "" if person is None else person.hex
    milliseconds = int(statement_timeout_ms)
    return (
        f"{begin}; SET LOCAL statement_timeout = {milliseconds};"
        f" SET LOCAL lock_timeout = {max(1, milliseconds // 2)};"
        f" SET LOCAL idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS};"
        f" SET LOCAL muniment.org_id = '{org_id}';"
        f" SET LOCAL muniment.user_id = '{person_id}'"
    )


@asynccontextmanager
async def transaction(
    connection: asyncpg.Connection[Any], scope: TenantScope | None
) -> AsyncIterator[UnitOfWork]:
    """Commit the open transaction of a connection when the body ends, or roll it back.

    What the transaction announces travels with its commit.
    """
    work = UnitOfWork(connection, scope)
    try:
        yield work
    except BaseException:
        # A lost connection has nothing to roll back, and must not hide why it was lost.
        with suppress(OSError, asyncpg.InterfaceError, asyncpg.PostgresError):
            await connection.execute("ROLLBACK", timeout=ROLLBACK_SECONDS)
        raise
    with observed("db.commit"):
        await connection.execute(f"{notifications(work.invalidated)}COMMIT")
