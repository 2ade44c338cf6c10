"""Whether the indexes are complete, used, and worth what they cost."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from muniment.db.checks.catalogue import expected_catalogue
from muniment.db.doctor import Examination, Fault, Severity, doctor_check, plural, quoted
from muniment.db.statements import load_statements

if TYPE_CHECKING:
    import asyncpg

_statements = load_statements("muniment.db.checks")

UNUSED_BYTES = 10 * 1024**2
"""A smaller index costs too little to be worth a word."""
UNUSED_AFTER = timedelta(days=7)
"""Use is judged after so long: there are weekly habits."""
UNUSED_WRITES = 1_000
"""And only on tables that were written so often since."""
BLOATED_BYTES = 8 * 1024**2
BLOATED_SHARE = 3.0
"""Size by what the entries need; a freshly filled index has up to 2."""


@doctor_check("db.invalid_indexes", "Every index is complete.", Severity.ERROR)
async def invalid_indexes(examination: Examination) -> list[Fault]:
    """Find indexes that a build left half done: writes pay for them, reads cannot use them."""
    return [
        Fault(
            title=f"The index {row['name']} is not valid.",
            evidence=f"It takes {_size(row['bytes'])} of {row['table']} and no query may use it.",
            remedy="Build it again; reads and writes go on meanwhile.",
            sql=(f"REINDEX INDEX CONCURRENTLY {_full(row)}",),
        )
        for row in await _states(examination)
        if not row["valid"] and not row["building"]
    ]


@doctor_check("db.duplicate_indexes", "No two indexes are the same.", Severity.WARNING)
async def duplicate_indexes(examination: Examination) -> list[Fault]:
    """Find indexes of the same columns, order and condition; ours are kept."""
    alike: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in await _states(examination):
        alike[row["what"]].append(row)
    faults = []
    for rows in alike.values():
        kept, *others = sorted(rows, key=_worth)
        faults += [
            Fault(
                title=f"The index {row['name']} is the same as {kept['name']}.",
                evidence=f"Both are on {row['table']}; {row['name']} takes {_size(row['bytes'])} "
                "and part of each write.",
                remedy=f"Drop {row['name']}.",
                sql=(f"DROP INDEX CONCURRENTLY {_full(row)}",),
            )
            for row in others
            # What belongs to a constraint, or is ours, goes by a migration or not at all.
            if not (row["constraint"] or _is_ours(row))
            and (kept["is_unique"] or not row["is_unique"])
        ]
    return faults


@doctor_check("db.unused_indexes", "Every index is used.", Severity.WARNING)
async def unused_indexes(examination: Examination) -> list[Fault]:
    """Find indexes that no query has used for a week of writes."""
    async with examination.database.operator() as work:
        counted = examination.now() - await _statements.counted_since(work)
    if counted < UNUSED_AFTER:
        return []
    return [
        _unused(row, counted)
        for row in await _states(examination)
        if row["scans"] == 0
        and row["bytes"] >= UNUSED_BYTES
        and row["writes"] >= UNUSED_WRITES
        and not (row["is_unique"] or row["constraint"])
    ]


@doctor_check(
    "db.bloated_indexes", "No index is several times as large as its entries.", Severity.WARNING
)
async def bloated_indexes(examination: Examination) -> list[Fault]:
    """Estimate what the B-trees need, from the statistics of their columns."""
    async with examination.database.operator() as work:
        rows = await _statements.bloated_indexes(
            work, least_bytes=BLOATED_BYTES, share=BLOATED_SHARE
        )
    return [
        Fault(
            title=f"The index {row['name']} is bloated.",
            evidence=f"It takes {_size(row['bytes'])}; its entries need about "
            f"{_size(row['needed'])}.",
            remedy="Build it again; reads and writes go on meanwhile.",
            sql=(f"REINDEX INDEX CONCURRENTLY {_full(row)}", f"ANALYZE {_table(row)}"),
        )
        for row in rows
    ]


async def _states(examination: Examination) -> list[asyncpg.Record]:
    async with examination.database.operator() as work:
        rows: list[asyncpg.Record] = await _statements.index_states(work)
    return rows


def _unused(row: asyncpg.Record, counted: timedelta) -> Fault:
    evidence = (
        f"No query has used it in {plural(counted.days, 'day')}; it takes {_size(row['bytes'])}, "
        f"and {plural(row['writes'], 'write')} to {row['table']} kept it up to date."
    )
    if _is_ours(row):
        return Fault(
            title=f"The index {row['name']} is not used here.",
            evidence=evidence,
            remedy="Leave it: it is part of Muniment, and something that you do not use needs it.",
            severity=Severity.INFO,
        )
    return Fault(
        title=f"The index {row['name']} is not used.",
        evidence=evidence,
        remedy="Drop it, unless it serves something that runs more rarely than that.",
        sql=(f"DROP INDEX CONCURRENTLY {_full(row)}",),
    )


def _worth(row: asyncpg.Record) -> tuple[bool, bool, bool, str]:
    """Order indexes: those of constraints first, then unique ones, then ours."""
    return not row["constraint"], not row["is_unique"], not _is_ours(row), row["name"]


def _is_ours(row: asyncpg.Record) -> bool:
    names = {(index.schema, index.name) for index in expected_catalogue().indexes}
    return (row["schema"], row["name"]) in names or row["name"].startswith("embeddings_of_model_")


def _full(row: asyncpg.Record) -> str:
    return f"{quoted(row['schema'])}.{quoted(row['name'])}"


def _table(row: asyncpg.Record) -> str:
    return f"{quoted(row['schema'])}.{quoted(row['table'])}"


def _size(count: int) -> str:
    return f"{count / 1024**2:,.1f} MB"


checks = [invalid_indexes, duplicate_indexes, unused_indexes, bloated_indexes]
