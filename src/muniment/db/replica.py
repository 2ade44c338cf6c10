"""A streaming replica that answers what only reads, while it is recent enough for the caller.

A probe asks the primary for its position in the log, and later the replica how far it has
replayed. From the two follows a moment of our own clock: everything committed before it is on the
replica. No clock of a server is compared, and a primary that writes nothing makes no lag. An
organization that wrote after that moment reads from the primary until the replica has caught up,
so whoever was told of a change finds it.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, cast

import asyncpg
import structlog

from muniment.db.errors import DatabaseUnavailable, PoolExhausted
from muniment.db.pool import LOST, OneStatement, Operation, Pool, StatementRunner
from muniment.db.statements import load_statements
from muniment.db.unit_of_work import ROLLBACK_SECONDS, UnitOfWork

if TYPE_CHECKING:
    from muniment.db.scope import OrgId, TenantScope

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.db")

PROBE_SECONDS = 0.5
_PROBE_TIMEOUT = 2.0
_ACQUIRE_SECONDS = 1.0
_POSITIONS = 240
"""Most questions to the primary whose answer the replica has not reached."""
_ORGANIZATIONS = 10_000
"""Most organizations whose last write is remembered one by one."""

_EVERYTHING = "everything"
"""Partition of the tag that stands for all."""
WRITES = "writes"
"""Name of the tag by which a process tells the others that an organization wrote."""

REFUSED = (
    *LOST,
    asyncpg.SerializationError,  # the replica's replay needed what the statement looked at
    asyncpg.DeadlockDetectedError,
)
"""What makes a statement run again on the primary; a time-out of ours is an OSError."""

Outcome = Literal["replica", "written", "behind", "failed"]
"""Where a unit of work read: on the replica, or on the primary and why."""


class Replica:
    """Knows how recent the replica is, and lends it to units of work that only read."""

    def __init__(self, pool: Pool, *, max_lag: float, probes: tuple[Pool, Pool]) -> None:
        """Lend from `pool`; ask the primary and the replica through pools of one connection.

        Args:
            pool: connections to the replica as `muniment_app`.
            max_lag: seconds after which everything is read from the primary.
            probes: to the primary, then to the replica. They are of their own, so that a busy
                pool does not make the replica look old.
        """
        self.pool = pool
        self.outcomes: Counter[Outcome] = Counter()
        """Units of work by where they read."""
        self.hears: Callable[[], bool] = lambda: True
        """Tells whether the writes of other processes are heard at the moment."""
        self._max_lag = max_lag
        self._probes = probes
        self._positions: deque[tuple[float, int]] = deque()
        self._shows = -math.inf
        self._floor = -math.inf
        self._writes: dict[str, float] = {}
        self._serving = False

    @property
    def lag(self) -> float:
        """Seconds before now up to which the replica is known to show everything."""
        return monotonic() - self._shows

    def wrote(self, org_id: OrgId) -> None:
        """Note that a transaction of an organization has ended."""
        self._note(org_id.hex)

    def heard(self, tags: Collection[str]) -> None:
        """Note what some process has committed, by the cache tags that it announced."""
        for tag in tags:
            partition = tag.partition("/")[0]
            if partition == _EVERYTHING:
                self.missed()
            else:
                self._note(partition)

    def missed(self) -> None:
        """Note that writes of other processes may not have been heard."""
        self._writes.clear()
        self._floor = monotonic()

    def _note(self, partition: str) -> None:
        if len(self._writes) >= _ORGANIZATIONS:
            self.missed()
        self._writes[partition] = monotonic()

    def _why_not(self, org_id: OrgId) -> Outcome:
        """Return where an organization reads at the moment."""
        if self.lag > self._max_lag or not self.hears():
            return "behind"
        if max(self._writes.get(org_id.hex, self._floor), self._floor) >= self._shows:
            return "written"
        return "replica"

    @asynccontextmanager
    async def reading(
        self,
        scope: TenantScope,
        begin: Operation[object],
        primary: Callable[[], AbstractAsyncContextManager[UnitOfWork]],
    ) -> AsyncIterator[UnitOfWork]:
        """Run the body on the replica where that serves, else on the primary.

        A statement that fails because of the replica is run again on the primary, and so is
        what follows it. Each statement has a snapshot of its own either way, so that shows
        nothing that one server alone would not.

        Args:
            scope: for whom is read.
            begin: opens a transaction that only reads.
            primary: opens such a unit of work on the primary.
        """
        outcome = self._why_not(scope.org_id)
        async with AsyncExitStack() as stack:
            connection = None
            if outcome == "replica":
                connection = await self._begun(stack, begin)
            if connection is None:
                self.outcomes[outcome if outcome != "replica" else "failed"] += 1
                yield await stack.enter_async_context(primary())
                return

            async def move(error: BaseException) -> Any:
                self.outcomes["failed"] += 1
                if isinstance(error, LOST):
                    self._give_up(error)
                return (await stack.enter_async_context(primary())).connection

            reader = _Reader(connection, move)
            try:
                yield UnitOfWork(cast("Any", reader), scope)
            finally:
                self.outcomes["replica"] += not reader.moved
                await _end(connection)

    async def _begun(self, stack: AsyncExitStack, begin: Operation[object]) -> Any:
        try:
            return await stack.enter_async_context(self.pool.acquire(begin))
        except PoolExhausted:
            return None
        except (DatabaseUnavailable, asyncpg.PostgresError, OSError) as error:
            self._give_up(error)
            return None

    def _give_up(self, error: BaseException) -> None:
        """Let nobody else try until a probe has succeeded."""
        self._shows = -math.inf
        self._tell(serving=False, reason=str(error) or repr(error))

    async def watch(self) -> None:
        """Probe until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_PROBE_TIMEOUT):
                    await self._probe()
            except (
                DatabaseUnavailable,
                PoolExhausted,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                OSError,
            ) as error:
                self._tell(serving=self.lag <= self._max_lag, reason=str(error) or repr(error))
            else:
                self._tell(serving=self.lag <= self._max_lag, reason="it lags")
            await asyncio.sleep(PROBE_SECONDS)

    async def _probe(self) -> None:
        primary, replica = (UnitOfWork(cast("Any", OneStatement(p)), None) for p in self._probes)
        # Before the question: what is committed by now is before the position of the answer.
        asked = monotonic()
        position = await _statements.primary_position(primary)
        if len(self._positions) < _POSITIONS:
            self._positions.append((asked, position))
        replayed = await _statements.replayed_position(replica)
        if replayed is None:
            raise DatabaseUnavailable("The server of the replica's address is no replica.")
        while self._positions and self._positions[0][1] <= replayed:
            self._shows = self._positions.popleft()[0]
        for partition in [name for name, at in self._writes.items() if at < self._shows]:
            del self._writes[partition]

    def _tell(self, *, serving: bool, reason: str) -> None:
        if serving != self._serving:
            self._serving = serving
            if serving:
                _log.info("the replica answers what only reads")
            else:
                _log.warning("the primary answers what the replica could", reason=reason)


OpenPool = Callable[[str, int, float], Awaitable[Pool]]
"""Opens a pool: address, most connections, seconds to wait for one."""


@asynccontextmanager
async def open_replica(
    open_pool: OpenPool, dsn: str, primary_dsn: str, *, size: int, max_lag: float
) -> AsyncIterator[Replica]:
    """Open the pools and probe until the context ends; see `Replica`."""
    pools: list[Pool] = []
    try:
        # Where it takes long to get a connection, the primary is asked instead.
        pools.append(await open_pool(dsn, size, _ACQUIRE_SECONDS))
        pools.extend([await open_pool(each, 1, _PROBE_TIMEOUT) for each in (primary_dsn, dsn)])
        replica = Replica(pools[0], max_lag=max_lag, probes=(pools[1], pools[2]))
        watching = asyncio.create_task(replica.watch())
        try:
            yield replica
        finally:
            watching.cancel()
            await asyncio.wait([watching])
    finally:
        for pool in pools:
            pool.terminate()


async def _end(connection: Any) -> None:
    """End a transaction that only read; what becomes of it does not matter any more."""
    with suppress(*LOST, asyncpg.PostgresError):
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK", timeout=ROLLBACK_SECONDS)


class _Reader(StatementRunner):
    """A connection to the replica that becomes one to the primary when the replica fails."""

    def __init__(self, connection: Any, move: Callable[[BaseException], Awaitable[Any]]) -> None:
        """Call `move` with what failed; it gives the connection to go on with."""
        self._connection = connection
        self._move = move
        self.moved = False

    async def _run(self, method: str, query: str, arguments: tuple[Any, ...]) -> Any:
        try:
            return await getattr(self._connection, method)(query, *arguments)
        except REFUSED as error:
            if self.moved:
                raise
            self.moved = True
            self._connection = await self._move(error)
        return await getattr(self._connection, method)(query, *arguments)
