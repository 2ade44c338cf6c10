"""Tracebacks for log lines: where and what kind of error, and of its message what is safe."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator

import asyncpg

from muniment.observability.masking import MASK, mask_text

LONGEST_MESSAGE = 500
"""Characters of an exception's message: enough for a sentence, too short for a document."""
_DEEPEST_GROUP = 5
_MOST_OF_GROUP = 10

_QUOTED = re.compile(r': ".*', re.DOTALL)

_CAUSED = "\nThe above exception was the direct cause of the following exception:\n"
_DURING = "\nDuring handling of the above exception, another exception occurred:\n"


def traceback_text(error: BaseException) -> str:
    """Return the traceback of an exception and of those that led to it.

    It looks as Python prints it, with these differences: messages are masked and cut, what
    Postgres quotes of rows and parameters is left out, and notes are not shown.
    """
    return "\n".join(_lines(error, set(), 0))


def message_of(error: BaseException) -> str:
    """Return the message of an exception as it may be logged."""
    if isinstance(error, asyncpg.PostgresError):
        # Without DETAIL, which quotes rows. A value is quoted after a colon, a name is not.
        return mask_text(_QUOTED.sub(f": {MASK}", _text(error.args[:1])), LONGEST_MESSAGE)
    return mask_text(_text((error,)), LONGEST_MESSAGE)


def _text(first: tuple[object, ...]) -> str:
    try:
        return str(first[0]) if first else ""
    except Exception:  # noqa: BLE001  # the message of an exception is code of its own
        return "(no message could be made)"


def _lines(error: BaseException, seen: set[int], depth: int) -> Iterator[str]:
    seen.add(id(error))
    cause, context = error.__cause__, error.__context__
    if cause is not None and id(cause) not in seen:
        yield from _lines(cause, seen, depth)
        yield _CAUSED
    elif context is not None and not error.__suppress_context__ and id(context) not in seen:
        yield from _lines(context, seen, depth)
        yield _DURING
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):"
        yield "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    name = _name(type(error))
    message = message_of(error)
    yield f"{name}: {message}" if message else name
    if isinstance(error, BaseExceptionGroup):
        yield from _members(error, seen, depth)


def _members(group: BaseExceptionGroup[BaseException], seen: set[int], depth: int) -> Iterator[str]:
    if depth >= _DEEPEST_GROUP:
        yield "  ..."
        return
    for number, member in enumerate(group.exceptions, start=1):
        if number > _MOST_OF_GROUP:
            yield f"  and {len(group.exceptions) - _MOST_OF_GROUP} more"
            return
        yield f"  ---- {number} of {len(group.exceptions)} ----"
        for part in _lines(member, seen, depth + 1):
            yield "\n".join(f"  {line}" for line in part.split("\n"))


def _name(kind: type[BaseException]) -> str:
    name = kind.__qualname__
    return name if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}.{name}"
