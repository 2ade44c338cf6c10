"""The rows of a query of Postgres as a file that is loaded like any other."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from muniment.reconcile.loading.errors import (
    DatabaseUnreachable,
    HeaderOnly,
    QueryFailed,
    QueryNotAllowed,
    QueryTimedOut,
)
from muniment.reconcile.loading.options import MAX_BYTES
from muniment.reconcile.loading.parquet import unique_names
from muniment.reconcile.loading.rows import Fetched, RowFile

_CONNECT_TIMEOUT: Final = 10.0
_MOST_FETCHED: Final = 5000
_BYTES_FETCHED: Final = 4 << 20
"""Characters that one fetch should bring: rows of long texts come fewer at a time."""


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What a query may take."""

    rows: int = 10_000_000
    bytes: int = MAX_BYTES
    seconds: float = 300.0
    """For the statement and all of its rows."""


async def load_query(
    dsn: str, sql: str, target: Path, limits: QueryLimits = QueryLimits()
) -> Fetched:
    """Write the rows of one SQL statement to a Parquet file, which `load` reads as a part.

    The statement runs in a transaction that can only read, with a cursor on the server, so that
    neither side holds the result. What the role of the connection may read, the statement may:
    give it a role of its own.

    Args:
        dsn: `postgresql://…`; never part of an error.
        sql: one statement that returns rows.
        target: the file to write; gone again when this fails.
        limits: rows, bytes and seconds at most.

    Raises:
        DatabaseUnreachable: no connection with this address, or it was lost.
        QueryFailed: the statement is wrong, with the line where it is; returns no columns; or
            failed on a row.
        QueryNotAllowed: the role may not do that, or the statement changes something.
        QueryTimedOut, DatasetTooLarge, DuplicateHeader, HeaderOnly, CellTooLarge
    """
    try:
        async with asyncio.timeout(limits.seconds), _connected(dsn) as connection:
            try:
                return await _fetch(connection, sql, target, limits)
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise _translated(error, sql, limits.seconds) from error
            except (ConnectionError, asyncpg.InternalClientError) as error:
                raise DatabaseUnreachable("The connection to the database was lost.") from error
    except TimeoutError:
        raise QueryTimedOut(_too_slow(limits.seconds)) from None


async def _fetch(
    connection: asyncpg.Connection[Any], sql: str, target: Path, limits: QueryLimits
) -> Fetched:
    async with connection.transaction(readonly=True):
        # In the transaction, not on the connection: a pooler may hand that to others.
        await connection.execute(f"SET LOCAL statement_timeout = {int(limits.seconds * 1000)}")
        statement = await connection.prepare(sql)
        found = [attribute.name for attribute in statement.get_attributes()]
        if not found:
            raise QueryFailed("The statement returns no rows: give one that selects some.")
        names = unique_names(found)
        cursor = await statement.cursor()
        rows = RowFile(target, names, note="query", max_rows=limits.rows, max_bytes=limits.bytes)
        async with rows:
            count = 100
            while batch := await cursor.fetch(count):
                for record in batch:
                    await rows.add(record)
                size = max(1, sum(len(str(value)) for value in batch[-1]))
                count = max(1, min(_MOST_FETCHED, _BYTES_FETCHED // size))
            if not rows.rows:
                raise HeaderOnly("The query returns no rows.", column=names[0])
    return rows.fetched()


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=_CONNECT_TIMEOUT,
            statement_cache_size=0,
            server_settings={"application_name": "muniment"},
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise DatabaseUnreachable(_why_unreachable(error)) from None
    try:
        yield connection
    finally:
        # An orderly end waits for the server, which may be what does not answer.
        connection.terminate()


def _why_unreachable(error: Exception) -> str:
    """Say why, in words that hold nothing of the address: its host and password are secrets."""
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        why = "the server refuses the user or the password"
    elif isinstance(error, asyncpg.InvalidCatalogNameError):
        why = "there is no such database on the server"
    elif isinstance(error, asyncpg.TooManyConnectionsError):
        why = "the server has no free connection"
    elif isinstance(error, TimeoutError):
        why = f"no answer in {_CONNECT_TIMEOUT:.0f} seconds"
    elif isinstance(error, socket.gaierror):
        why = "there is no server of that name"
    elif isinstance(error, OSError):
        why = "the server does not take connections"
    elif isinstance(error, asyncpg.PostgresError):
        why = f"the server refuses the connection ({error.sqlstate})"
    else:
        why = "its address is no postgresql://… address"
    return f"The database cannot be reached: {why}."


def _translated(
    error: asyncpg.PostgresError | asyncpg.InterfaceError, sql: str, seconds: float
) -> QueryFailed | DatabaseUnreachable:
    if isinstance(error, asyncpg.QueryCanceledError):
        return QueryTimedOut(_too_slow(seconds))
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return QueryNotAllowed("The statement changes something; a query of a dataset only reads.")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return QueryNotAllowed(f"The role of the connection may not do that: {error}.")
    if isinstance(error, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError):
        return DatabaseUnreachable("The connection to the database was lost.")
    if isinstance(error, asyncpg.InterfaceError):
        # Such as a statement with $1, for which there is no value.
        return QueryFailed(f"The statement cannot be run: {error}.")
    place = getattr(error, "position", None)
    hint = getattr(error, "hint", None)
    line = sql.count("\n", 0, int(place) - 1) + 1 if place else None
    told = f"The database refuses the query: {error}"
    told = f"{told} (line {line})." if line else f"{told}."
    return QueryFailed(f"{told} {hint}" if hint else told, line=line)


def _too_slow(seconds: float) -> str:
    return (
        f"The query took longer than {seconds:,.0f} seconds: narrow it down, or export its "
        "result to a file."
    )
