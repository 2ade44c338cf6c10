"""How a function that runs in a process of its own tells how far it has come."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Tells how far the work has come; cheap enough to be called for each row."""

    def __call__(self, done: int, total: int | None = None, unit: str = "rows") -> None:
        """Take how much of the total is done, in a unit."""
