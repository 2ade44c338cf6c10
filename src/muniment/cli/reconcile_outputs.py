"""Where a reconciliation puts its files: what may be replaced, and all or nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from muniment.errors import MunimentError

_OURS = "left_row,right_row,left_id,right_id,"
"""How each matches file begins."""
DEFAULT_NAME = "matches.csv"


class OutputUnwritable(MunimentError):
    """A file of results cannot be written."""

    code = "output_unwritable"
    title = "Output unwritable"


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the files go."""

    matches: Path
    review: Path
    unmatched: Path

    def by_name(self) -> dict[str, Path]:
        """Return the places by what is put there."""
        return {"matches": self.matches, "review": self.review, "unmatched": self.unmatched}


def outputs(
    out: Path | None, review: Path | None, unmatched: Path | None, inputs: Sequence[Path]
) -> Outputs:
    """Return where the files go, seen before any work is done that they can go there.

    A name that somebody gave is theirs to replace; of the default names only results of an
    earlier run are.

    Raises:
        typer.BadParameter: a file is to be written over an input, or two over each other.
        OutputUnwritable: there is a file that is not ours, or a folder in the way.
    """
    matches = out or Path(DEFAULT_NAME)
    beside = matches.parent
    stem = matches.stem if matches.suffix else matches.name
    chosen = Outputs(
        matches,
        review or beside / f"{stem}-review.csv",
        unmatched or beside / f"{stem}-unmatched.csv",
    )
    for target in chosen.by_name().values():
        try:
            _look(target)
        except OSError as error:
            raise OutputUnwritable(f"{target} cannot be written: {error.strerror}.") from error
    _refuse_collisions(chosen, inputs)
    if out is None and matches.exists() and not _is_ours(matches):
        raise OutputUnwritable(
            f"There is a file {DEFAULT_NAME} here that is no result of an earlier run: name "
            "another with --out."
        )
    return chosen


def place(files: Iterable[tuple[Path, Path]]) -> list[bool]:
    """Put finished files where they belong, all of them or none; return which replaced others.

    Args:
        files: pairs of where a file is and where it goes.

    Raises:
        OutputUnwritable: one of them cannot be written; what was there is as it was.
    """
    staged: list[tuple[Path, Path]] = []
    replaced = []
    try:
        for source, target in files:
            try:
                replaced.append(target.is_file() and target.stat().st_size > 0)
                temporary = _staged(source, target)
                if temporary is not None:
                    staged.append((temporary, target.resolve()))
            except OSError as error:
                raise OutputUnwritable(f"{target} cannot be written: {error.strerror}.") from error
        for temporary, target in staged:
            temporary.replace(target)
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
    return replaced


def _staged(source: Path, target: Path) -> Path | None:
    """Copy a file beside its target, to be moved there in one step; None: it is there already."""
    if _is_special(target):
        # A device or a pipe is written to, never replaced.
        with source.open("rb") as read, target.open("wb") as written:
            shutil.copyfileobj(read, written)
        return None
    real = target.resolve()
    real.parent.mkdir(parents=True, exist_ok=True)
    temporary = real.with_name(f".{real.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(source, temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _refuse_collisions(chosen: Outputs, inputs: Sequence[Path]) -> None:
    taken = {path.resolve(): path for path in inputs}
    for what, target in chosen.by_name().items():
        known = taken.get(target.resolve())
        if known is not None and not _is_special(target):
            raise typer.BadParameter(f"the file for {what} is {target}, which is used already")
        taken[target.resolve()] = target


def _is_special(path: Path) -> bool:
    # What stands for an open file, such as /dev/stdout, may lead to a file or to a pipe.
    shown = path.is_relative_to("/dev")
    return path.exists() and not path.is_dir() and (shown or not path.is_file())


def _look(target: Path) -> None:
    if target.is_dir():
        raise OutputUnwritable(f"{target} is a folder: give the name of a file.")
    if _is_special(target):
        return
    folder = target.resolve().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OutputUnwritable(f"{target} cannot be written: {folder} is no folder.")
    if not os.access(folder, os.W_OK):
        raise OutputUnwritable(f"{target} cannot be written: {folder} may not be written to.")


def _is_ours(path: Path) -> bool:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.stat().st_size == 0:
            return True
        with path.open(encoding="utf-8") as file:
            return file.read(len(_OURS)) == _OURS
    return False
