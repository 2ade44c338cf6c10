"""What a person may decide before a file is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from muniment.reconcile.columns import Override

MAX_BYTES: Final = 2 << 30
"""Size of a file above which it is refused. What is below it is loaded in bounded memory."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a person may decide before a file is loaded. The defaults decide from the file."""

    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    overrides: Mapping[str, Override] = field(default_factory=dict)
    max_bytes: int = MAX_BYTES
    """Of all parts of the dataset together."""
