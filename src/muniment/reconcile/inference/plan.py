"""What was decided on a column: its type, its role, and how its values are read."""

from __future__ import annotations

from dataclasses import dataclass

from muniment.reconcile.columns import ColumnType, Role


@dataclass(frozen=True, slots=True)
class Override:
    """What a person decides on a column; None leaves it to the inference."""

    role: Role | None = None
    type: ColumnType | None = None
    day_first: bool | None = None
    """Of dates such as 03/04/2024."""
    decimal_sign: str | None = None
    """`.` or `,`."""


@dataclass(slots=True)
class Plan:
    """How a column is read. Filled step by step by the inference."""

    name: str
    type: ColumnType = ColumnType.text
    role: Role = Role.free_text
    reason: str = ""
    certainty: float = 0.5
    overridden: bool = False
    key: bool = False
    """May be the identifier: its values are unique and complete."""
    decimal_sign: str = "."
    scale: int = 0
    date_order: str = "ymd"
    """`ymd`, `dmy` or `mdy` for dates in digits; months in words tell themselves."""
    compact_dates: bool = False
    """Dates of eight digits without signs."""
    currency: str | None = None
    unit: str | None = None
