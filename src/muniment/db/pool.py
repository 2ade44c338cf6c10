"""A pool of connections: bounded in size, age and waiting time, and it outlives its server.

It wraps asyncpg's, which knows no age, does not tell who waits, and hands out a connection
whose server has gone as long as nobody has noticed.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
import msgspec

from muniment.db.errors import NO_ANSWER, DatabaseUnavailable, PoolExhausted
from muniment.db.vectors import register_vector_codecs

T = TypeVar("T")

LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What asyncpg raises when a connection cannot be made or was cut; a time-out is an OSError."""

AcquireObserver = Callable[[float], None]
"""Called with the seconds that somebody waited for a connection, also when in vain."""

Operation = Callable[["PooledConnection"], Awaitable[T]]

_JITTER = 0.1
"""Share of the lifetime by which connections differ, so that they do not all end at once."""
_UNANSWERED = 5.0
"""Seconds beyond the server's own time-out of a statement after which it is taken for dead."""


if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection  # which takes no parameter at run time


class PooledConnection(_Connection):
    """A connection that knows its age."""

    born: float = 0.0
    """Monotonic time when it was made."""
    ends: float = float("inf")
    """Monotonic time from which on it is not lent any more."""


@dataclass(frozen=True, slots=True)
class _Lease:
    """A connection that is lent; what is known of it can be read after it was lost."""

    proxy: Any
    born: float
    ends: float

    @property
    def connection(self) -> PooledConnection:
        """The proxy has the same methods and attributes."""
        connection: PooledConnection = self.proxy
        return connection


class Pool:
    """Lends connections to one database as one role."""

    def __init__(
        self, pool: asyncpg.Pool[Any], *, acquire_timeout: float, prepared: bool = True
    ) -> None:
        """Take over a pool that `open` has configured."""
        self._pool = pool
        self.prepared = prepared
        """Whether statements stay prepared on a connection from one use to the next."""
        self._acquire_timeout = acquire_timeout
        self._expired_at = float("-inf")
        self.waiting = 0
        """How many wait for a connection at the moment."""
        self.observers: list[AcquireObserver] = []

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        size: int,
        acquire_timeout: float,
        statement_timeout: float,
        idle: float,
        lifetime: float,
        prepared: bool = True,
    ) -> Pool:
        """Return a pool that opens its connections as they are needed.

        Args:
            dsn: address and role.
            size: most connections.
            acquire_timeout: seconds to wait for a connection.
            statement_timeout: seconds after which the server cancels a statement.
            idle: seconds after which an unused connection is closed.
            lifetime: seconds after which a connection is replaced, give or take a tenth.
            prepared: keep statements prepared on their connection. A pooler that lends a
                server's connection for one transaction each may not find them again.
        """

        async def prepare(connection: Any) -> None:
            connection.born = monotonic()
            jitter = random.uniform(-_JITTER, _JITTER)  # noqa: S311  # no secret
            connection.ends = connection.born + lifetime * (1 + jitter)
            async with nullcontext() if prepared else connection.transaction():
                await _register_codecs(connection)

        pool = await asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=size,
            max_inactive_connection_lifetime=idle,
            timeout=10,
            # The server ends a statement that takes too long; this is for a server that does
            # not answer at all.
            command_timeout=statement_timeout + _UNANSWERED,
            connection_class=PooledConnection,
            init=prepare,
            reset=_reset,
            statement_cache_size=100 if prepared else 0,
            server_settings={"application_name": "muniment", "timezone": "UTC"},
        )
        return cls(pool, acquire_timeout=acquire_timeout, prepared=prepared)

    def get_size(self) -> int:
        """Return how many connections are open."""
        return self._pool.get_size()

    def get_idle_size(self) -> int:
        """Return how many open connections nobody uses."""
        return self._pool.get_idle_size()

    def get_max_size(self) -> int:
        """Return how many connections there may be."""
        return self._pool.get_max_size()

    @asynccontextmanager
    async def acquire(
        self, begin: Operation[object] | None = None
    ) -> AsyncIterator[PooledConnection]:
        """Lend a connection to the body.

        Args:
            begin: what is done on it first, and safe to do again. A server that was restarted,
                or ended a session, leaves connections behind that look well until they are
                used; on such a one it is done a second time, on a connection made for it.

        Raises:
            PoolExhausted: no connection became free in time.
            DatabaseUnavailable: a connection could not be made, or was lost.
        """
        try:
            lease = await self._take() if begin is None else (await self._begun(begin))[0]
            try:
                yield lease.connection
            finally:
                await self._give_back(lease)
        except TimeoutError:
            # It is an OSError by its type, but of the body's own making.
            raise
        except LOST as error:
            raise DatabaseUnavailable(f"The database connection failed: {error}") from error

    async def run(self, operation: Operation[T]) -> T:
        """Return what an operation gives; it is run twice where `acquire` would begin twice.

        Raises:
            PoolExhausted, DatabaseUnavailable: see `acquire`.
        """
        try:
            lease, result = await self._begun(operation)
        except LOST as error:
            raise DatabaseUnavailable(f"The database connection failed: {error}") from error
        await self._give_back(lease)
        return result

    async def close(self) -> None:
        """Wait until all connections are back, and close them."""
        await self._pool.close()

    def terminate(self) -> None:
        """Close all connections at once."""
        self._pool.terminate()

    async def _begun(self, operation: Operation[T]) -> tuple[_Lease, T]:
        lease = await self._take()
        try:
            return lease, await self._attempt(lease, operation)
        except LOST:
            await self._expire(lease)
        lease = await self._take()
        return lease, await self._attempt(lease, operation)

    async def _attempt(self, lease: _Lease, operation: Operation[T]) -> T:
        try:
            return await operation(lease.connection)
        except BaseException as error:
            await self._give_back(lease)
            if isinstance(error, TimeoutError):
                raise DatabaseUnavailable(NO_ANSWER) from error
            raise

    async def _take(self) -> _Lease:
        """Take a connection out of the pool and tell how long that took."""
        started = monotonic()
        self.waiting += 1
        try:
            proxy: Any = await self._pool.acquire(timeout=self._acquire_timeout)
        except TimeoutError as error:
            if self.get_size() - self.get_idle_size() >= self.get_max_size():
                raise PoolExhausted from error
            raise DatabaseUnavailable(NO_ANSWER) from error
        finally:
            self.waiting -= 1
            waited = monotonic() - started
            for observer in self.observers:
                observer(waited)
        return _Lease(proxy, proxy.born, proxy.ends)

    async def _give_back(self, lease: _Lease) -> None:
        # A connection that was lost is closed already and cannot fail the work of its body.
        with suppress(*LOST):
            if monotonic() >= lease.ends:
                lease.connection.terminate()
            await self._pool.release(lease.proxy)

    async def _expire(self, lost: _Lease) -> None:
        """Have the connections that are as old as a lost one replaced before they are lent."""
        if lost.born > self._expired_at:
            self._expired_at = monotonic()
            await self._pool.expire_connections()


class StatementRunner(ABC):
    """Takes the place of a connection where only statements are run."""

    async def fetch(self, query: str, *arguments: Any) -> Any:
        """Return all rows."""
        return await self._run("fetch", query, arguments)

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """Return the first row, or None."""
        return await self._run("fetchrow", query, arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        """Return the first column of the first row, or None."""
        return await self._run("fetchval", query, arguments)

    async def execute(self, query: str, *arguments: Any) -> Any:
        """Return the command tag."""
        return await self._run("execute", query, arguments)

    @abstractmethod
    async def _run(self, method: str, query: str, arguments: tuple[Any, ...]) -> Any:
        """Run a statement by a method of a connection."""


class OneStatement(StatementRunner):
    """Runs single statements outside of transactions, each on whatever connection is free.

    A statement that meets a lost connection is run again on a new one, so it must do no harm
    when it runs twice.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _run(self, method: str, query: str, arguments: tuple[Any, ...]) -> Any:
        async def run(connection: PooledConnection) -> Any:
            if self._pool.prepared:
                return await getattr(connection, method)(query, *arguments)
            # Preparing and running take a message each and have to meet the same server.
            async with connection.transaction():
                return await getattr(connection, method)(query, *arguments)

        return await self._pool.run(run)


async def _register_codecs(connection: asyncpg.Connection[Any]) -> None:
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
