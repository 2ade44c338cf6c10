"""What is to be matched with what: files, how each is read, rules."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, field

from muniment.reconcile.columns import Override
from muniment.reconcile.rules import Rules


class FileGiven(Struct, frozen=True):
    """A file of records and how it is to be read, where that is not told by the file."""

    path: Path
    """As the person wrote it, for messages. With `database` it holds one SQL statement."""
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    overrides: dict[str, Override] = field(default_factory=dict)
    """By column."""
    content: Path | None = None
    """Where its bytes are, if `path` is a pipe that only one process can read."""
    database: str | None = None
    """Address of the database that the statement is asked of; never part of an error."""


class FilesGiven(Struct, frozen=True):
    """What is to be matched with what, and where results may be put."""

    left: FileGiven
    right: FileGiven | None
    evidence: FileGiven | None
    rules: Rules
    max_bytes: int
    """Size of a file above which it is refused."""
    folder: Path
    """Empty; takes the loaded datasets and the files `matches.csv`, `review.csv` and, of two
    datasets, `unmatched.csv`."""
