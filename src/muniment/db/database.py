"""Connection pools of a process and the units of work opened on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from muniment.db.errors import DatabaseUnavailable, PoolExhausted
from muniment.db.unit_of_work import UnitOfWork, transaction
from muniment.db.vectors import register_vector_codecs

if TYPE_CHECKING:
    from muniment.db.scope import TenantScope

_LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What asyncpg raises when a connection cannot be made or was cut."""


@dataclass(frozen=True, slots=True)
class Database:
    """The pools of one process: one for the application, one for the operator."""

    pool: asyncpg.Pool[Any]
    """Connections as `muniment_app`, under row-level security."""
    operator_pool: asyncpg.Pool[Any]
    """Connections as `muniment_operator`, for endpoints that look across organizations."""
    dsn: str
    """Address for a connection of one's own (LISTEN, advisory locks), as `muniment_app`."""
    acquire_timeout: float
    statement_timeout_ms: int

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        app_dsn: str,
        operator_dsn: str,
        *,
        pool_size: int,
        operator_pool_size: int,
        acquire_timeout: float,
        statement_timeout: float,
    ) -> AsyncIterator[Database]:
        """Open both pools, and close them when the context ends.

        Times are in seconds. Raises:
            DatabaseUnavailable: no connection could be made.
        """
        try:
            pool = await _create_pool(app_dsn, pool_size)
        except _LOST as error:
            raise DatabaseUnavailable(f"The database cannot be reached: {error}") from error
        try:
            # Most processes never need the operator's pool, so it opens none ahead.
            operator_pool = await _create_pool(operator_dsn, operator_pool_size)
            yield cls(
                pool, operator_pool, app_dsn, acquire_timeout, round(statement_timeout * 1000)
            )
            await asyncio.wait_for(operator_pool.close(), timeout=5)
            await asyncio.wait_for(pool.close(), timeout=5)
        finally:
            pool.terminate()

    @asynccontextmanager
    async def unit_of_work(
        self, scope: TenantScope, *, read_only: bool = False
    ) -> AsyncIterator[UnitOfWork]:
        """Run the body as one transaction of an organization; commit unless it raises.

        Raises:
            PoolExhausted: no connection became free in time.
            DatabaseUnavailable: the connection could not be made or was lost.
        """
        async with self._transaction(self.pool, scope, read_only=read_only) as work:
            yield work

    @asynccontextmanager
    async def system(self) -> AsyncIterator[UnitOfWork]:
        """Run the body as one transaction of no organization: tenant tables look empty."""
        async with self._transaction(self.pool, None, read_only=False) as work:
            yield work

    @asynccontextmanager
    async def single_statement(self) -> AsyncIterator[UnitOfWork]:
        """Lend a connection for one statement of no organization, without a transaction.

        It saves the two round trips of beginning and committing one.

        Raises:
            PoolExhausted, DatabaseUnavailable: see `unit_of_work`.
        """
        async with self._connection(self.pool) as connection:
            yield UnitOfWork(connection, None)

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[UnitOfWork]:
        """Run the body as the operator, who sees every organization."""
        async with self._transaction(self.operator_pool, None, read_only=False) as work:
            yield work

    @asynccontextmanager
    async def _transaction(
        self, pool: asyncpg.Pool[Any], scope: TenantScope | None, *, read_only: bool
    ) -> AsyncIterator[UnitOfWork]:
        async with (
            self._connection(pool) as connection,
            transaction(
                connection,
                scope,
                statement_timeout_ms=self.statement_timeout_ms,
                read_only=read_only,
            ) as work,
        ):
            yield work

    @asynccontextmanager
    async def _connection(self, pool: asyncpg.Pool[Any]) -> AsyncIterator[asyncpg.Connection[Any]]:
        try:
            async with pool.acquire(timeout=self.acquire_timeout) as connection:
                yield connection  # type: ignore[misc]  # the proxy has the same methods
        except TimeoutError as error:
            if pool.get_idle_size() > 0 or pool.get_size() < pool.get_max_size():
                raise
            raise PoolExhausted from error
        except _LOST as error:
            raise DatabaseUnavailable(f"The database connection failed: {error}") from error


async def _create_pool(dsn: str, size: int) -> asyncpg.Pool[Any]:
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        max_inactive_connection_lifetime=300,
        timeout=10,
        command_timeout=60,
        init=_prepare_connection,
        reset=_reset,
        server_settings={"application_name": "muniment", "timezone": "UTC"},
    )


async def _prepare_connection(connection: asyncpg.Connection[Any]) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )
    await register_vector_codecs(connection)


async def _reset(connection: asyncpg.Connection[Any]) -> None:
    """Leave a connection as it was found.

    Settings are only ever made for one transaction, so a round trip of DISCARD per unit
    of work is not needed; an abandoned transaction is.
    """
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")
