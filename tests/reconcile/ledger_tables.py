"""Small ledgers for tests: made row by row, or drawn from a seed."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pyarrow as pa

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role

Row = tuple[str, int, str, str]
"""Identifier, day, party, amount."""
PARTIES = (
    "Northern Star Logistics", "Cobalt Mining Industries", "Maple Leaf Consulting",
    "Sapphire Electronics", "Horizon Media Group", "Atlas Manufacturing", "Trident Shipping",
    "Obsidian Data Centers", "Falcon Security", "Riverview Hospitality",
)  # fmt: skip
START = date(2026, 1, 1)


def texts(name: str, role: Role, values: list[str | None]) -> tuple[Column, pa.Array]:
    """Return a column of texts."""
    distinct = len({v for v in values if v is not None})
    column = Column(name, ColumnType.text, role, rows=len(values), distinct=distinct)
    return column, pa.array(values, pa.string())


def money(name: str, values: list[str | None]) -> tuple[Column, pa.Array]:
    """Return a column of amounts with two decimal places."""
    cells = [None if v is None else Decimal(v) for v in values]
    column = Column(name, ColumnType.decimal, Role.amount, scale=2, rows=len(values))
    return column, pa.array(cells, pa.decimal128(18, 2))


def days(name: str, values: list[int]) -> tuple[Column, pa.Array]:
    """Return a column of dates, so many days after the start."""
    cells = [START + timedelta(value) for value in values]
    return Column(name, ColumnType.date, Role.date, rows=len(values)), pa.array(cells, pa.date32())


def dataset(name: str, *columns: tuple[Column, pa.Array]) -> Dataset:
    """Return a dataset of these columns."""
    table = pa.table({column.name: values for column, values in columns})
    return Dataset.from_table(name, table, [column for column, _ in columns])


def ledger(name: str, rows: list[Row]) -> Dataset:
    """Return a ledger of these rows."""
    return dataset(
        name,
        texts("code", Role.identifier, [row[0] for row in rows]),
        days("day", [row[1] for row in rows]),
        texts("party", Role.name, [row[2] for row in rows]),
        money("total", [row[3] for row in rows]),
    )


def advice(rows: list[tuple[str | None, str | None, str | None]]) -> Dataset:
    """Return lines of evidence: payer's code, what is paid, amount."""
    return dataset(
        "advice",
        texts("who", Role.reference, [row[0] for row in rows]),
        texts("what", Role.reference, [row[1] for row in rows]),
        money("sum", [row[2] for row in rows]),
    )


def ordinary() -> tuple[list[Row], list[Row]]:
    """Return thirty payments and the invoices they settle, in the same order."""
    left: list[Row] = []
    right: list[Row] = []
    for k in range(30):
        party, amount = PARTIES[k % 10], f"{137 * (k + 3)}.{(7 * k) % 90 + 10}"
        left.append((f"p{k:03d}", 20 + k, party.upper()[:18], amount))
        right.append((f"{4000 + k}/X", 15 + k, party, amount))
    return left, right
