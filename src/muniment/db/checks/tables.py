"""Whether the tables are vacuumed and analyzed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from muniment.db.doctor import Examination, Fault, Severity, doctor_check, quoted
from muniment.db.statements import load_statements

if TYPE_CHECKING:
    import asyncpg

_statements = load_statements("muniment.db.checks")

DEAD_ROWS = 20_000
LATE = timedelta(minutes=10)
"""Autovacuum comes by every minute; what has waited longer than this it does not manage."""
UNKNOWN_ROWS = 20_000
OLD_ROWS, TOO_OLD_ROWS = 1_000_000_000, 1_800_000_000
"""Transactions; at 2,147 million the server stops to write."""


@doctor_check(
    "db.autovacuum", "Autovacuum is on, for the server and for every table.", Severity.ERROR
)
async def autovacuum(examination: Examination) -> list[Fault]:
    """Look at the settings of the server and at the options of the tables."""
    async with examination.database.operator() as work:
        rows = await _statements.settings(work, names=["autovacuum", "track_counts"])
        tables = await _statements.table_states(work)
    faults = [
        Fault(
            title=f"{row['name']} is off for the whole server.",
            evidence="Nothing removes dead rows or keeps the statistics of the planner up to date.",
            remedy="Switch it on.",
            sql=(f"ALTER SYSTEM SET {row['name']} = on", "SELECT pg_reload_conf()"),
        )
        for row in rows
        if row["value"] == "off"
    ]
    faults += [
        Fault(
            title=f"Autovacuum is off for {table['schema']}.{table['name']}.",
            evidence=f"The table has the option {table['switched_off']}.",
            remedy="Switch it on.",
            sql=(f"ALTER TABLE {_name(table)} RESET (autovacuum_enabled)",),
            severity=Severity.WARNING,
        )
        for table in tables
        if table["switched_off"]
    ]
    return faults


@doctor_check("db.dead_rows", "Vacuum keeps up with dead rows.", Severity.WARNING)
async def dead_rows(examination: Examination) -> list[Fault]:
    """Find tables with more dead rows than live ones that vacuum has not visited lately."""
    return [
        Fault(
            title=f"The table {table['schema']}.{table['name']} is full of dead rows.",
            evidence=f"{table['dead']:,} dead and {table['live']:,} live rows; "
            f"last vacuumed {_moment(table['vacuumed_at'])}.",
            remedy="Vacuum it; if that does not help, see db.old_transactions.",
            sql=(f"VACUUM (ANALYZE) {_name(table)}",),
        )
        for table in await _tables(examination)
        if table["dead"] > max(DEAD_ROWS, table["live"])
        and (table["vacuumed_at"] is None or examination.now() - table["vacuumed_at"] > LATE)
    ]


@doctor_check("db.statistics", "The planner knows what is in the tables.", Severity.WARNING)
async def statistics(examination: Examination) -> list[Fault]:
    """Find large tables that were never analyzed, or have changed altogether since."""
    return [
        Fault(
            title=f"The statistics of {table['schema']}.{table['name']} are out of date.",
            evidence=f"{table['modified']:,} of {table['live']:,} rows have changed since it was "
            f"last analyzed: {_moment(table['analyzed_at'])}.",
            remedy="Analyze it; plans may be far off meanwhile.",
            sql=(f"ANALYZE {_name(table)}",),
        )
        for table in await _tables(examination)
        if table["live"] >= UNKNOWN_ROWS
        and (table["analyzed_at"] is None or table["modified"] > table["live"])
    ]


@doctor_check("db.wraparound", "Old rows are frozen in time.", Severity.ERROR)
async def wraparound(examination: Examination) -> list[Fault]:
    """Look at the age of the oldest row that is not frozen."""
    async with examination.database.operator() as work:
        age = await _statements.oldest_row(work)
    if age < OLD_ROWS:
        return []
    return [
        Fault(
            title="Vacuum does not keep up with freezing old rows.",
            evidence=f"The oldest row is {age:,} transactions old; at 2,147,483,648 the server "
            "stops to write.",
            remedy="Vacuum the database; see db.old_transactions for what may hold vacuum back.",
            sql=("VACUUM (FREEZE)",),
            severity=Severity.ERROR if age >= TOO_OLD_ROWS else Severity.WARNING,
        )
    ]


async def _tables(examination: Examination) -> list[asyncpg.Record]:
    async with examination.database.operator() as work:
        rows: list[asyncpg.Record] = await _statements.table_states(work)
    return rows


def _name(table: asyncpg.Record) -> str:
    return f"{quoted(table['schema'])}.{quoted(table['name'])}"


def _moment(moment: object) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


checks = [autovacuum, dead_rows, statistics, wraparound]
