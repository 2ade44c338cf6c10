"""What is remembered of a request while it runs."""

from __future__ import annotations

import re
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field

from muniment.db import new_id

MOST_STATEMENTS = 10
"""A request with more statements than this is reported."""
MOST_REPETITIONS = 4
"""A request that runs one statement more often than this is reported (N+1)."""

_SANE_ID = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}")
_TRANSACTION_CONTROL = frozenset({"db.begin", "db.commit"})


@dataclass(slots=True)
class RequestRecord:
    """One request: its id, whose it is, and the statements that it ran."""

    request_id: str
    org_id: str | None = None
    """Set once the caller is authenticated."""
    problem_code: str | None = None
    """Code of the error that the caller was told, if it was one."""
    response_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Added to the response, whatever answers."""
    statements: Counter[str] = field(default_factory=Counter)
    """How often each named statement ran, without beginning and committing."""

    def count_statement(self, name: str) -> None:
        """Add one run of a named statement."""
        if name not in _TRANSACTION_CONTROL:
            self.statements[name] += 1

    @property
    def is_chatty(self) -> bool:
        """Tell whether the request ran suspiciously many statements, or one too often."""
        counts = self.statements
        # A request with few statements cannot have repeated one often.
        if len(counts) <= MOST_STATEMENTS and counts.total() <= MOST_REPETITIONS:
            return False
        return counts.total() > MOST_STATEMENTS or max(counts.values()) > MOST_REPETITIONS


current_request: ContextVar[RequestRecord | None] = ContextVar("current_request", default=None)
"""The request that this task works for, if any."""


def request_id_from(sent: bytes | None) -> str:
    """Return the caller's ``X-Request-ID`` if it is short and harmless, or else a new UUIDv7.

    An id ends up in log lines and headers, so it may not contain spaces, quotes or controls.
    """
    if sent is not None:
        text = sent.decode("latin-1")
        if _SANE_ID.fullmatch(text):
            return text
    return str(new_id())
