"""A dataset as it is stored, and opened again in another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from muniment.reconcile.columns import Column, Dataset


class StoredDataset(msgspec.Struct, frozen=True):
    """What a process needs to open a dataset: what is known of it, and where its files are."""

    name: str
    rows: int
    notes: list[str]
    columns: list[dict[str, Any]]
    originals: Path
    cleaned: Path

    def opened(self) -> Dataset:
        """Return the dataset; its files are read when something of them is asked for."""
        return Dataset(
            self.name,
            tuple(msgspec.convert(self.columns, list[Column])),
            self.rows,
            cleaned=self.cleaned,
            originals=self.originals,
            notes=tuple(self.notes),
        )


def storable(value: Any) -> Any:
    """Return what JSON can hold without the character NUL, which jsonb cannot."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list | tuple):
        return [storable(one) for one in value]
    if isinstance(value, dict):
        return {storable(name): storable(one) for name, one in value.items()}
    return value
