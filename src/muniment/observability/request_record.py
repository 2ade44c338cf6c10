"""What is remembered of a request, or of an attempt at a job, while it runs."""

from __future__ import annotations

import re
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from muniment.db import new_id

_SANE_ID = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}")
_TRANSACTION_CONTROL = frozenset({"db.begin", "db.commit"})


@dataclass(frozen=True, slots=True)
class StatementLimits:
    """How many statements are too many."""

    most: int = 10
    """With more than these in all, a request is reported."""
    repeated: int = 5
    """With one of them so often or more, it is reported (N+1)."""


@dataclass(slots=True)
class WorkRecord:
    """A piece of work: the statements that it ran."""

    statements: Counter[str] = field(default_factory=Counter, kw_only=True)
    """How often each named statement ran, without beginning and committing."""
    call_sites: dict[str, str] | None = field(default=None, kw_only=True)
    """In development, where each statement was run last."""

    def count_statement(self, name: str) -> None:
        """Add one run of a named statement."""
        if name not in _TRANSACTION_CONTROL:
            self.statements[name] += 1

    def excess(self, limits: StatementLimits) -> Literal["many", "repeated"] | None:
        """Tell whether suspiciously many statements ran, or one too often."""
        counts = self.statements
        # With few statements in all, there is nothing to look for.
        if not counts or (total := counts.total()) <= min(limits.most, limits.repeated - 1):
            return None
        if max(counts.values()) >= limits.repeated:
            return "repeated"
        return "many" if total > limits.most else None


@dataclass(slots=True)
class RequestRecord(WorkRecord):
    """One request: its id, whose it is, and the statements that it ran."""

    request_id: str
    org_id: str | None = None
    """Set once the caller is authenticated."""
    problem_code: str | None = None
    """Code of the error that the caller was told, if it was one."""
    response_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Added to the response, whatever answers."""


current_work: ContextVar[WorkRecord | None] = ContextVar("current_work", default=None)
"""The request or the attempt at a job that this task works for, if any."""


def request_id_from(sent: bytes | None) -> str:
    """Return the caller's ``X-Request-ID`` if it is short and harmless, or else a new UUIDv7.

    An id ends up in log lines and headers, so it may not contain spaces, quotes or controls.
    """
    if sent is not None:
        text = sent.decode("latin-1")
        if _SANE_ID.fullmatch(text):
            return text
    return str(new_id())
