"""One request, or one step of a job, is one transaction under one organization."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg

from muniment.db.statements import observed

if TYPE_CHECKING:
    from muniment.db.scope import TenantScope


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """An open transaction and the organization that it runs for.

    Rooms run their statements on it and never commit; the boundary that opened it does.
    """

    connection: asyncpg.Connection[Any]
    _scope: TenantScope | None

    @property
    def scope(self) -> TenantScope:
        """The organization of this transaction.

        Raises:
            LookupError: the transaction was opened without an organization.
        """
        if self._scope is None:
            raise LookupError("this transaction belongs to no organization")
        return self._scope


@asynccontextmanager
async def transaction(
    connection: asyncpg.Connection[Any],
    scope: TenantScope | None,
    *,
    statement_timeout_ms: int,
    read_only: bool = False,
) -> AsyncIterator[UnitOfWork]:
    """Open a transaction, set its organization and limits, and commit or roll back.

    Begin, organization and time-out travel as one simple-protocol command: a round trip
    each would cost more than most of our statements do.
    """
    begin = "BEGIN READ ONLY" if read_only else "BEGIN"
    org_id = "" if scope is None else scope.org_id.hex
    with observed("db.begin"):
        await connection.execute(
            f"{begin}; SET LOCAL statement_timeout = {int(statement_timeout_ms)};"
            f" SET LOCAL muniment.org_id = '{org_id}'"
        )
    try:
        yield UnitOfWork(connection, scope)
    except BaseException:
        # A lost connection has nothing to roll back, and must not hide why it was lost.
        with suppress(OSError, asyncpg.InterfaceError, asyncpg.PostgresError):
            await connection.execute("ROLLBACK")
        raise
    with observed("db.commit"):
        await connection.execute("COMMIT")
