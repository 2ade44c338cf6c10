"""Rows that arrive one after the other, from a database or a library, as a file that is loaded."""

from __future__ import annotations

import datetime as dt
from asyncio import to_thread
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from muniment.reconcile.loading.errors import DatasetTooLarge
from muniment.reconcile.loading.staging import StringColumns

_HELD_BYTES: Final = 8 << 20
"""Characters of the rows that are held before they are written."""

_HELD_ROWS: Final = 8192


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was written: a Parquet file of strings, a part of a dataset like any other file."""

    path: Path
    rows: int
    size: int
    """Bytes of the file."""


class RowFile:
    """Writes rows of any values to a Parquet file of strings, off the event loop.

    Used as an async context manager; when it is left by an error, the file is gone.
    """

    def __init__(
        self, path: Path, names: Sequence[str], *, note: str, max_rows: int, max_bytes: int
    ) -> None:
        self._path = path
        self._writer = StringColumns(path, names, note=note)
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._rows: list[list[str | None]] = []
        self._held = 0
        self._seen = 0
        self.rows = 0
        """Rows added."""

    async def add(self, row: Sequence[Any]) -> None:
        """Add a row of values, in the order of the names.

        Raises:
            DatasetTooLarge: that is more than is loaded.
            CellTooLarge, UnreadableCharacter: names row and column.
        """
        cells = [as_text(value) for value in row]
        self._rows.append(cells)
        self.rows += 1
        self._held += sum(len(cell) for cell in cells if cell) + len(cells)
        if self.rows > self._max_rows:
            raise DatasetTooLarge(
                f"There are more than {self._max_rows:,} rows, the most that are loaded."
            )
        if self._held >= _HELD_BYTES or len(self._rows) >= _HELD_ROWS:
            await self._write()

    async def _write(self) -> None:
        rows, self._rows = self._rows, []
        self._seen, self._held = self._seen + self._held, 0
        if self._seen > self._max_bytes:
            raise DatasetTooLarge(
                f"The rows have more than {self._max_bytes:,} bytes, the most that is loaded."
            )
        if rows:
            await to_thread(self._writer.add, list(zip(*rows, strict=True)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                await self._write()
            await to_thread(self._writer.close)
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise
        if kind is not None:
            self._path.unlink(missing_ok=True)

    def fetched(self) -> Fetched:
        """Say what was written, once the file is closed."""
        return Fetched(self._path, self.rows, self._path.stat().st_size)


def as_text(value: Any) -> str | None:
    """Return a value of Python as text that reads back as the same value."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        midnight = value.time() == dt.time() and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat(sep=" ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, list | tuple | set | frozenset):
        return "; ".join(as_text(item) or "" for item in value)
    return str(value)
