"""List a folder tree file by file, without holding the tree in memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from muniment.sources.errors import FolderNotFound, FolderUnreadable


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as the folder lists it."""

    external_id: str
    """Path below the root with forward slashes; bytes that are no text are escaped."""
    path: Path
    size_bytes: int
    version: str
    """Size and time of change: an equal version means unchanged."""
    changed_at: float
    """Seconds since 1970."""
    regular: bool


@dataclass(frozen=True, slots=True)
class UnlistedFolder:
    """A folder below the root that could not be listed; what is known of it stays."""

    prefix: str
    """What the external ids of its files begin with."""
    reason: str


def walk(root: Path) -> Iterator[FoundFile | UnlistedFolder]:
    """Yield every file below `root` in a stable order; `root` may be a single file.

    Names that begin with a dot and links to folders are left out; a link to a file is
    followed while it stays below the root, so that a tree cannot reach beyond itself.

    Raises:
        FolderNotFound: there is no such folder.
        FolderUnreadable: the root itself cannot be listed.
    """
    root = root.resolve()
    if not root.exists():
        raise FolderNotFound(f"The folder {root} does not exist.")
    if not root.is_dir():
        yield _found(root, root.name, root.stat())
        return
    try:
        top = _listed(root)
    except OSError as error:
        raise FolderUnreadable(
            f"The folder {root} cannot be listed ({error.strerror}): check its permissions."
        ) from error
    yield from _walk(root, top)


def _walk(root: Path, entries: list[os.DirEntry[str]]) -> Iterator[FoundFile | UnlistedFolder]:
    waiting = entries
    while waiting:
        entry = waiting.pop()
        name = external_id(root, entry.path)
        try:
            if entry.is_dir(follow_symlinks=False):
                waiting.extend(_listed(Path(entry.path)))
            elif not entry.is_symlink() or _stays_below(root, entry.path):
                yield _found(Path(entry.path), name, entry.stat())
        except FileNotFoundError:
            continue  # gone since its folder was listed
        except OSError as error:
            if entry.is_dir(follow_symlinks=False):
                yield UnlistedFolder(f"{name}/", error.strerror or str(error))


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    """Return a folder's entries, last name first: the walk takes them from the end."""
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(shown, key=lambda entry: entry.name, reverse=True)


def _stays_below(root: Path, path: str) -> bool:
    target = Path(path).resolve()
    return target.is_relative_to(root) and not target.is_dir()


def _found(path: Path, name: str, status: os.stat_result) -> FoundFile:
    return FoundFile(
        name,
        path,
        status.st_size,
        f"{status.st_size}:{status.st_mtime_ns}",
        status.st_mtime,
        stat.S_ISREG(status.st_mode),
    )


def external_id(root: Path, path: str | Path) -> str:
    """Return the name of a file within its source.

    A file name is bytes and need not be text: what is not is written as an escape, and a
    backslash is doubled, so that no two names become one.
    """
    relative = os.fsencode(os.path.relpath(path, root).replace(os.sep, "/"))
    return relative.replace(b"\\", rb"\\").decode("utf-8", "backslashreplace")
