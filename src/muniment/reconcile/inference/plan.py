"""What was decided on a column: its type, its role, and how its values are read."""

from __future__ import annotations

from dataclasses import dataclass

from muniment.reconcile.columns import ColumnType, Override, Role, TextCleaning


@dataclass(slots=True)
class Plan:
    """How a column is read. Filled step by step by the inference."""

    name: str
    type: ColumnType = ColumnType.text
    role: Role = Role.free_text
    reason: str = ""
    certainty: float = 0.5
    override: Override | None = None
    key: bool = False
    """May be the identifier: its values are unique and complete."""
    key_rank: float = 0.0
    """How well it names the records, see `keys`; 0 if it does not."""
    decimal_sign: str = "."
    scale: int = 0
    date_order: str = "ymd"
    """`ymd`, `dmy` or `mdy` for dates in digits; months in words tell themselves."""
    compact_dates: bool = False
    """Dates of eight digits without signs."""
    currency: str | None = None
    unit: str | None = None

    def say(self, role: Role, reason: str, certainty: float = 1.0) -> None:
        """Decide what the column is, and why."""
        self.role, self.reason, self.certainty = role, reason, certainty

    @property
    def without(self) -> tuple[TextCleaning, ...]:
        """Cleanings that a person does not want."""
        return self.override.without if self.override is not None else ()


__all__ = ["Override", "Plan"]
