"""Where in our program a statement was run: for people who develop it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import muniment
from muniment.db.statements import text_of

_PACKAGE = str(Path(muniment.__file__).parent)
_BETWEEN = tuple(str(Path(_PACKAGE, room)) for room in ("db", "observability"))
"""Rooms that only pass a statement on, or look at it."""


def call_site() -> str | None:
    """Return file, line and function of our code that this call serves, e.g.
    ``muniment/jobs/listing.py:41 list_jobs``; None when there is none.

    Walks up the frames of the running task, a coroutine being called by the one that awaits it.
    """  # noqa: D205  # the example belongs to the sentence
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # inspect.stack() reads files
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_PACKAGE) and not file.startswith(_BETWEEN):
            where = Path(file).relative_to(Path(_PACKAGE).parent).as_posix()
            return f"{where}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return None


def shown(name: str, site: str | None) -> dict[str, str]:
    """Return what a log line shows of a statement in development; its parameters never."""
    text = text_of(name)
    line = {} if text is None else {"sql": " ".join(text.split())}
    return line if site is None else line | {"called_from": site}
