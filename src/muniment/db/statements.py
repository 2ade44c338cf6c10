"""Named SQL: every statement lives in a room's ``queries.sql`` and carries a name.

aiosql parses the files; the adapter here runs them on asyncpg and tells observers the
name and duration of each, so that metrics, slow-statement logs and query budgets need no
change in the rooms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import aiosql
from aiosql.utils import VAR_REF

from muniment.db.errors import NO_ANSWER, DatabaseUnavailable

if TYPE_CHECKING:
    import asyncpg


class HasConnection(Protocol):
    """Anything that lends a connection: a unit of work, or a boundary of its own."""

    @property
    def connection(self) -> asyncpg.Connection[Any]:
        """The connection that statements run on."""
        ...


StatementObserver = Callable[[str, float, BaseException | None], None]
"""Called after each statement with its name, seconds, and the exception if it failed."""

_observers: list[StatementObserver] = []
_texts: dict[str, str] = {}


@contextmanager
def observe_statements(observer: StatementObserver) -> Iterator[None]:
    """Report every statement that runs while the context is open to `observer`."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


@contextmanager
def observed(name: str) -> Iterator[None]:
    """Time one statement under its name; for the few that asyncpg runs itself (COPY).

    Raises:
        DatabaseUnavailable: the server did not answer at all, see `Pool.open`.
    """
    start = perf_counter()
    error: BaseException | None = None
    try:
        yield
    except TimeoutError as raised:
        error = raised
        raise DatabaseUnavailable(NO_ANSWER) from raised
    except BaseException as raised:
        error = raised
        raise
    finally:
        seconds = perf_counter() - start
        for observer in _observers:
            observer(name, seconds, error)


def text_of(name: str) -> str | None:
    """Return the SQL of a named statement that was loaded, with numbers for its parameters."""
    return _texts.get(name)


class _ObservedAdapter:
    """An aiosql driver adapter for asyncpg that names, times and awaits.

    It presents itself as a synchronous adapter, so that aiosql hands our coroutines
    through as they are: a select is awaited once and gives a list.
    """

    is_aio_driver = False

    def __init__(self, room: str) -> None:
        self._room = room
        self._order: defaultdict[str, list[str]] = defaultdict(list)

    def process_sql(self, query_name: str, _operation: Any, sql: str) -> str:
        """Turn ``:name`` parameters into asyncpg's ``$1`` and remember their order."""
        order = self._order[query_name]

        def numbered(match: Any) -> str:
            variable = match["var_name"]
            if variable is None:
                return str(match[0])
            if variable not in order:
                order.append(variable)
            return f"{match['lead']}${order.index(variable) + 1}"

        text = f"/* {self._room}.{query_name} */ " + VAR_REF.sub(numbered, sql)
        _texts[f"{self._room}.{query_name}"] = text
        return text

    def _arguments(self, query_name: str, parameters: dict[str, Any]) -> list[Any]:
        return [parameters[name] for name in self._order[query_name]]

    async def select(
        self, lender: HasConnection, query_name: str, sql: str, parameters: Any, _record: Any = None
    ) -> list[asyncpg.Record]:
        with observed(f"{self._room}.{query_name}"):
            return await lender.connection.fetch(sql, *self._arguments(query_name, parameters))

    async def select_one(
        self, lender: HasConnection, query_name: str, sql: str, parameters: Any, _record: Any = None
    ) -> asyncpg.Record | None:
        with observed(f"{self._room}.{query_name}"):
            return await lender.connection.fetchrow(sql, *self._arguments(query_name, parameters))

    async def select_value(
        self, lender: HasConnection, query_name: str, sql: str, parameters: Any
    ) -> Any:
        with observed(f"{self._room}.{query_name}"):
            return await lender.connection.fetchval(sql, *self._arguments(query_name, parameters))

    async def insert_update_delete(
        self, lender: HasConnection, query_name: str, sql: str, parameters: Any
    ) -> str:
        with observed(f"{self._room}.{query_name}"):
            return await lender.connection.execute(sql, *self._arguments(query_name, parameters))


Statements = Any
"""The statements of a room as methods.

aiosql builds them from the file when it is read, so their names are not known to a type
checker; a gate reads every file and checks names, descriptions and bounds instead.
"""


def load_statements(package: str) -> Statements:
    """Load ``queries.sql`` of a package, e.g. ``load_statements("muniment.jobs")``.

    Each method takes a unit of work first and named parameters after it. The suffix of
    the name in the file tells what comes back: none a list of records, ``^`` one record
    or None, ``$`` one value, ``!`` the command tag.

    Raises:
        FileNotFoundError: the package has no ``queries.sql``.
        aiosql.SQLParseException: the file is not well-formed.
    """
    room = package.removeprefix("muniment.")
    text = files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    return aiosql.from_str(
        text,
        lambda: _ObservedAdapter(room),  # type: ignore[arg-type,return-value]
        mandatory_parameters=False,
    )
