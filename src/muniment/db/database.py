"""Connection pools of a process and the units of work opened on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from muniment.db.pool import OneStatement, Pool, PooledConnection
from muniment.db.replica import WRITES, Replica, open_replica
from muniment.db.statements import observed
from muniment.db.unit_of_work import UnitOfWork, begin_command, transaction

if TYPE_CHECKING:
    from muniment.db.scope import TenantScope, UserId

CommitObserver = Callable[[frozenset[str]], Awaitable[None]]
"""Told the cache tags of a commit before the unit of work ends."""


@dataclass(frozen=True, slots=True)
class Database:
    """The pools of one process: one for the application, one for the operator."""

    pool: Pool
    """Connections as `muniment_app`, under row-level security."""
    operator_pool: Pool
    """Connections as `muniment_operator`, for endpoints that look across organizations."""
    dsn: str
    """Address for a connection of one's own (LISTEN, advisory locks), as `muniment_app`."""
    statement_timeout_ms: int
    after_commit: list[CommitObserver] = field(default_factory=list)
    """Awaited after each commit that announced cache tags."""
    replica: Replica | None = None
    """Where what only reads may be answered, if there is one."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        app_dsn: str,
        operator_dsn: str,
        *,
        listen_dsn: str | None = None,
        replica_dsn: str | None = None,
        replica_max_lag: float = 5.0,
        prepared_statements: bool = True,
        pool_size: int,
        operator_pool_size: int,
        acquire_timeout: float,
        statement_timeout: float,
        pool_idle: float = 300.0,
        pool_lifetime: float = 3600.0,
    ) -> AsyncIterator[Database]:
        """Open the pools, and close them when the context ends.

        Connections are made as they are needed, so a server that is not there yet does no
        harm. Times are in seconds; see `Pool.open`. `listen_dsn` is the address for connections
        of one's own, where that of the application leads through a pooler; `replica_dsn` that of
        a streaming replica, as `muniment_app`.
        """

        async def open_pool(dsn: str, size: int, patience: float = acquire_timeout) -> Pool:
            return await Pool.open(
                dsn,
                size=size,
                acquire_timeout=min(patience, acquire_timeout),
                statement_timeout=statement_timeout,
                idle=pool_idle,
                lifetime=pool_lifetime,
                prepared=prepared_statements,
            )

        pool = await open_pool(app_dsn, pool_size)
        operator_pool = await open_pool(operator_dsn, operator_pool_size)
        try:
            async with AsyncExitStack() as stack:
                replica = None
                if replica_dsn is not None:
                    opening = open_replica(
                        open_pool, replica_dsn, app_dsn, size=pool_size, max_lag=replica_max_lag
                    )
                    replica = await stack.enter_async_context(opening)
                milliseconds = round(statement_timeout * 1000)
                own_dsn = listen_dsn or app_dsn
                yield cls(pool, operator_pool, own_dsn, milliseconds, replica=replica)
            await asyncio.wait_for(operator_pool.close(), timeout=5)
            await asyncio.wait_for(pool.close(), timeout=5)
        finally:
            operator_pool.terminate()
            pool.terminate()

    @asynccontextmanager
    async def unit_of_work(
        self, scope: TenantScope, *, read_only: bool = False, replica: bool = False
    ) -> AsyncIterator[UnitOfWork]:
        """Run the body as one transaction of an organization; commit unless it raises.

        Args:
            scope: the organization.
            read_only: let Postgres refuse writes.
            replica: let a replica answer what is only read, if there is one that is recent
                enough; the body has no cursors and copies nothing.

        Raises:
            PoolExhausted: no connection became free in time.
            DatabaseUnavailable: the connection could not be made or was lost.
        """
        if replica and self.replica is not None:
            opened = self.replica.reading(
                scope,
                self._begin(scope, read_only=True),
                lambda: self._transaction(self.pool, scope, read_only=True),
            )
        else:
            opened = self._transaction(self.pool, scope, read_only=read_only or replica)
        async with opened as work:
            yield work

    @asynccontextmanager
    async def system(self) -> AsyncIterator[UnitOfWork]:
        """Run the body as one transaction of no organization: tenant tables look empty."""
        async with self._transaction(self.pool, None, read_only=False) as work:
            yield work

    @asynccontextmanager
    async def person(self, user_id: UserId) -> AsyncIterator[UnitOfWork]:
        """Run the body as one transaction of a person and no organization.

        Only the rows that belong to that person are there; tenant tables look empty.
        """
        async with self._transaction(self.pool, None, read_only=False, user_id=user_id) as work:
            yield work

    @asynccontextmanager
    async def single_statement(self) -> AsyncIterator[UnitOfWork]:
        """Let statements of no organization run without a transaction, each for itself.

        It saves the two round trips of beginning and committing one. A statement that meets a
        lost connection is run once more, so it must do no harm when it runs twice.

        Raises:
            PoolExhausted, DatabaseUnavailable: see `unit_of_work`; from the statements.
        """
        yield UnitOfWork(cast("Any", OneStatement(self.pool)), None)

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[UnitOfWork]:
        """Run the body as the operator, who sees every organization."""
        async with self._transaction(self.operator_pool, None, read_only=False) as work:
            yield work

    @asynccontextmanager
    async def _transaction(
        self,
        pool: Pool,
        scope: TenantScope | None,
        *,
        read_only: bool,
        user_id: UserId | None = None,
    ) -> AsyncIterator[UnitOfWork]:
        begin = self._begin(scope, read_only=read_only, user_id=user_id)
        try:
            async with pool.acquire(begin) as connection, transaction(connection, scope) as work:
                yield work
                if scope is not None and self.replica is not None and not read_only:
                    # Whoever is told of this finds it, whichever process it asks.
                    work.invalidate(f"{scope.org_id.hex}/{WRITES}")
        finally:
            # Nobody knows what became of a commit whose connection was lost.
            if scope is not None and self.replica is not None and not read_only:
                self.replica.wrote(scope.org_id)
        # The connection is back in its pool: observers may wait for others.
        if work.invalidated:
            tags = frozenset(work.invalidated)
            for observer in self.after_commit:
                await observer(tags)

    def _begin(
        self, scope: TenantScope | None, *, read_only: bool, user_id: UserId | None = None
    ) -> Callable[[PooledConnection], Awaitable[None]]:
        command = begin_command(
            scope,
            statement_timeout_ms=self.statement_timeout_ms,
            read_only=read_only,
            user_id=user_id,
        )

        async def begin(connection: PooledConnection) -> None:
            with observed("db.begin"):
                await connection.execute(command)

        return begin
