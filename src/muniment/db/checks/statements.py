"""Whether every named statement still runs, finds its rows by an index, and is fast."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import msgspec

from muniment.db.doctor import Examination, Fault, Severity, doctor_check
from muniment.db.statements import load_statements, observed

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from muniment.db.unit_of_work import UnitOfWork

_statements = load_statements("muniment.db.checks")

LARGE_ROWS = 10_000
"""Rows from which on reading a whole table is a fault."""
FEW = 0.2
"""Share of the rows up to which an index would be quicker than reading all of them."""
ROLES = ("muniment_app", "muniment_worker", "muniment_operator", "muniment_definer")
SLOW_CALLS = 5
SLOW_FACTOR = 10.0
"""A mean of so many times what the log calls slow: one second, if not told otherwise."""

_PLANNED = re.compile(r"^(/\*.*?\*/\s*)?(select|with|insert|update|delete|merge|values)\b", re.I)
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*")
_CONSTANT = re.compile(
    r"'(?:[^']|'')*'|\$\d+|\b\d+(?:\.\d+)?\b"
    r"|\b(?:null|true|false)\b|(?<=extract\()\w+",
    re.I,
)
_PARAMETER = re.compile(r"\$(\d+)")
_SUMS = frozenset({"Aggregate", "Group", "WindowAgg", "SetOp", "Unique"})


@dataclass(frozen=True, slots=True)
class NamedStatement:
    """A statement of a room as it is sent."""

    name: str
    sql: str
    parameters: int


@dataclass(frozen=True, slots=True)
class WholeTable:
    """A scan of a whole table that an index would do better."""

    table: str
    rows: float
    wanted: float
    """Rows that the statement needs of it."""


@cache
def named_statements() -> tuple[NamedStatement, ...]:
    """Return every statement of every room, by name."""
    found: list[NamedStatement] = []
    for package in _packages(files("muniment"), "muniment"):
        loaded = load_statements(package)
        for query in loaded.available_queries:
            if query.endswith("_cursor"):
                continue  # aiosql offers each list as a cursor too
            sql = getattr(loaded, query).sql
            if _PLANNED.match(sql):
                count = max((int(number) for number in _PARAMETER.findall(sql)), default=0)
                name = f"{package.removeprefix('muniment.')}.{query}"
                found.append(NamedStatement(name, sql, count))
    return tuple(sorted(found, key=lambda statement: statement.name))


def _packages(folder: Traversable, name: str) -> Iterator[str]:
    for child in folder.iterdir():
        if child.name == "queries.sql":
            yield name
        elif child.is_dir() and child.name.isidentifier():
            yield from _packages(child, f"{name}.{child.name}")


@doctor_check(
    "db.plans",
    "Every named statement can be planned and reads no large table as a whole.",
    Severity.ERROR,
)
async def plans(examination: Examination) -> list[Fault]:
    """Explain the text of each statement, for any parameters, as the role that runs it.

    The policies are on and the largest organization is set; nothing is executed.
    """
    async with examination.database.operator() as work:
        org_id = await _statements.largest_organization(work)
        sizes = {
            (row["schema"], row["name"]): float(row["rows"])
            for row in await _statements.table_states(work)
        }
    faults: list[Fault] = []
    refused = list(named_statements())
    reason = ""
    for lend in (examination.database.system, examination.database.operator):
        async with lend() as work:
            await _prepare(work, org_id)
            unexplained = []
            for statement in refused:
                try:
                    plan = await _explain(work, statement)
                except asyncpg.InsufficientPrivilegeError as error:
                    # Of another role, perhaps.
                    reason = str(error)
                    if "function" not in reason:
                        unexplained.append(statement)
                except asyncpg.PostgresError as error:
                    faults.append(_broken(statement, str(error)))
                else:
                    faults += _wasteful(statement, plan, sizes)
            refused = unexplained
    return faults + [_broken(statement, reason) for statement in refused]


async def _prepare(work: UnitOfWork, org_id: object) -> None:
    """Set what plans depend on, for this transaction: it is rolled back or ends with it."""
    organization = "" if org_id is None else str(org_id)
    await work.connection.execute(
        "SET TRANSACTION READ ONLY; SET LOCAL plan_cache_mode = force_generic_plan;"
        " SET LOCAL max_parallel_workers_per_gather = 0;"
        f" SET LOCAL muniment.org_id = '{organization}'"
    )


async def _explain(work: UnitOfWork, statement: NamedStatement) -> dict[str, Any]:
    """Return the plan of a statement for any parameters.

    PREPARE is used because EXPLAIN (GENERIC_PLAN) is not known to Postgres 15, and asyncpg cannot
    send a statement without giving it parameters.
    """
    connection = work.connection
    nothing = ", ".join(["NULL"] * statement.parameters)
    arguments = f"({nothing})" if nothing else ""
    # One that a time-out left behind on a connection must not be in the way.
    name = f"doctor_{uuid4().hex}"
    with observed("db.checks.explain"):
        try:
            await connection.execute(f"SAVEPOINT doctor; PREPARE {name} AS {statement.sql}")
        except asyncpg.PostgresError:
            await connection.execute("ROLLBACK TO SAVEPOINT doctor")
            raise
        try:
            rows = await connection.fetch(
                f"EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE {name}{arguments}"
            )
        finally:
            await connection.execute(f"ROLLBACK TO SAVEPOINT doctor; DEALLOCATE {name}")
    found: dict[str, Any] = msgspec.json.decode(rows[0][0])[0]["Plan"]
    return found


def whole_tables(
    node: dict[str, Any], sizes: dict[tuple[str, str], float], *, wanted_few: bool = False
) -> Iterator[WholeTable]:
    """Yield the scans of large tables below a node of a plan that an index would do better.

    That is one that keeps few of the rows, or sorts them all to return the first ones. Who needs
    most of a table is right to read it as it lies.
    """
    kind = node["Node Type"]
    if kind == "Seq Scan":
        table = (node.get("Schema", ""), node["Relation Name"])
        rows, wanted = sizes.get(table, 0.0), float(node["Plan Rows"])
        if rows > LARGE_ROWS and (wanted_few or wanted < FEW * rows):
            yield WholeTable(".".join(table), rows, wanted)
    for child in node.get("Plans", ()):
        if kind in _SUMS:
            first_ones = False
        elif kind in {"Sort", "Incremental Sort"}:
            first_ones = wanted_few
        elif kind == "Limit":
            first_ones = child["Node Type"] in {"Sort", "Incremental Sort", "LockRows", "Result"}
        else:
            first_ones = wanted_few and kind in {"LockRows", "Result", "Subquery Scan"}
        yield from whole_tables(child, sizes, wanted_few=first_ones)


def _wasteful(
    statement: NamedStatement, plan: dict[str, Any], sizes: dict[tuple[str, str], float]
) -> Iterator[Fault]:
    for scan in whole_tables(plan, sizes):
        yield Fault(
            title=f"The statement {statement.name} reads all of {scan.table}.",
            evidence=f"The planner expects {scan.wanted:,.0f} of {scan.rows:,.0f} rows to be "
            "needed, and finds no index for them.",
            remedy="Mend the index first that db.missing_indexes or db.invalid_indexes names; "
            "otherwise let the planner know the table again.",
            sql=(f"ANALYZE {scan.table}",),
            severity=Severity.WARNING,
        )


def _broken(statement: NamedStatement, reason: str) -> Fault:
    return Fault(
        title=f"The statement {statement.name} cannot be run.",
        evidence=f"Postgres says: {reason}.",
        remedy="Mend what db.missing_objects, db.missing_indexes or db.grants names; if they find "
        "nothing, restore the schema from a backup.",
    )


@doctor_check("db.slow_statements", "No named statement is slow on average.", Severity.WARNING)
async def slow_statements(examination: Examination) -> list[Fault]:
    """Look at the means that pg_stat_statements has counted for our roles."""
    async with examination.database.operator() as work:
        if not await _statements.statement_statistics_present(work):
            return [
                Fault(
                    title="The server does not count statements.",
                    evidence="The extension pg_stat_statements is not installed.",
                    remedy="Add it to shared_preload_libraries, restart the server, and create it.",
                    sql=("CREATE EXTENSION pg_stat_statements WITH SCHEMA public",),
                    severity=Severity.INFO,
                )
            ]
        rows = await _statements.slow_statements(
            work,
            roles=[*ROLES],
            least_calls=SLOW_CALLS,
            least_ms=examination.settings.slow_statement_ms * SLOW_FACTOR,
        )
    return [_slow(row) for row in rows]


def name_of(text: str) -> str | None:
    """Return the name of a statement by its text in pg_stat_statements; None if it has none.

    There it has lost the comment that names it, and its constants are parameters.
    """
    return _names().get(_without_constants(text))


@cache
def _names() -> dict[str, str]:
    return {_without_constants(each.sql): each.name for each in named_statements()}


def _without_constants(text: str) -> str:
    plain = _CONSTANT.sub("?", _COMMENT.sub(" ", text))
    plain = " ".join(plain.split()).rstrip("; ")
    # A list of constants is told by its first one.
    return re.sub(r"\?( ?, ?\?)+ ?| (?=[\])])", lambda found: found[0][:1].strip(), plain)


def _slow(row: asyncpg.Record) -> Fault:
    named = name_of(row["text"])
    ids = f"{row['user_id']}, {row['database_id']}, {row['query_id']}"
    name = "A statement without a name" if named is None else f"The statement {named}"
    shown = f" It begins: {row['text'][:100]!r}." if named is None else ""
    return Fault(
        title=f"{name} is slow.",
        evidence=f"{row['mean_ms']:,.0f} ms on average over {row['calls']:,} calls, "
        f"{row['total_ms'] / 1000:,.0f} s in all.{shown}",
        remedy="See db.plans and db.statistics for the reason; when it is mended, forget the old "
        "figures.",
        sql=(f"SELECT pg_stat_statements_reset({ids})",),
    )


checks = [plans, slow_statements]
