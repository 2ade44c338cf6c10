"""Objectives: what the operator promises about groups of routes and kinds of jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ROUTE = re.compile(
    r"!?(\*|GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[^\s*]*\*?|\(unmatched\))", re.ASCII
)
_KIND = re.compile(r"!?([a-z][a-z0-9_.]*\*?|\*)", re.ASCII)

SHORTEST_DAYS = 3
"""Shortest window of an objective: what burns is watched over as many days."""
LONGEST_DAYS = 90
"""Longest window of an objective; counts are kept for as long as the longest one in use."""


class Objective(BaseModel):
    """One promise: what it is about, how fast, how often, over how many days."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    routes: tuple[str, ...] = ()
    """`METHOD /template`; the method may be `*`, the template may end in `*`, `!` excludes."""
    jobs: tuple[str, ...] = ()
    """Kinds of jobs; one may end in `*`, `!` excludes."""
    within_ms: float | None = Field(default=None, gt=0)
    """Time that one may take, in milliseconds; of a job from when it was due until its end."""
    share: float = Field(gt=0, lt=1)
    """Which part of them must hold, for example 0.99."""
    days: int = Field(default=28, ge=SHORTEST_DAYS, le=LONGEST_DAYS)
    """Length of the window, up to now."""
    failures: bool = True
    """Whether a response of status 5xx or a failed job counts against it, however fast."""

    @model_validator(mode="after")
    def _sensible(self) -> Objective:
        if bool(self.routes) == bool(self.jobs):
            raise ValueError("an objective is about either `routes` or `jobs`")
        if self.within_ms is None and not self.failures:
            raise ValueError("an objective needs `within_ms`, or `failures` that count against it")
        for pattern in (*self.routes, *self.jobs):
            if not (_ROUTE if self.routes else _KIND).fullmatch(pattern):
                like = "GET /v1/documents* or * /v1/search" if self.routes else "documents.*"
                raise ValueError(f"{pattern!r} is no pattern; write it like {like}")
        if all(pattern.startswith("!") for pattern in (*self.routes, *self.jobs)):
            raise ValueError("patterns that only exclude leave nothing")
        return self

    def covers_route(self, method: str, template: str) -> bool:
        """Tell whether requests of a route are counted."""
        return _covers(self.routes, f"{method} {template}", f"* {template}")

    def covers_job(self, kind: str) -> bool:
        """Tell whether jobs of a kind are counted."""
        return _covers(self.jobs, kind)


def _covers(patterns: tuple[str, ...], *names: str) -> bool:
    found = False
    for pattern in patterns:
        plain = pattern.removeprefix("!")
        if plain.endswith("*"):
            matches = any(name.startswith(plain[:-1]) for name in names)
        else:
            matches = plain in names
        if matches and pattern.startswith("!"):
            return False
        found = found or matches
    return found


_DEFAULTS: dict[str, dict[str, Any]] = {
    "availability": {"routes": ["* /v1/*"], "share": 0.999, "days": 28},
    "search": {"routes": ["POST /v1/search"], "within_ms": 300, "share": 0.99, "days": 7},
    "reading": {
        # How long a download or a stream of events takes is the reader's affair.
        "routes": [
            "GET /v1/*",
            "!GET /v1/admin/*",
            "!GET /v1/audit-log/export",
            "!GET /v1/doctor",
            "!GET /v1/documents/{document_id}/content",
            "!GET /v1/documents/{document_id}/original",
            "!GET /v1/jobs/{job_id}/events",
            "!GET /v1/objectives",
            "!GET /v1/sign-in*",
        ],
        "within_ms": 200,
        "share": 0.99,
        "days": 7,
    },
    "documents_convert": {
        # A file that is damaged fails its conversion, which says nothing about us.
        "jobs": ["documents.convert"],
        "within_ms": 60_000,
        "share": 0.95,
        "days": 7,
        "failures": False,
    },
    "documents_embed": {
        "jobs": ["documents.embed"],
        "within_ms": 600_000,
        "share": 0.95,
        "days": 7,
    },
    "sources_sync": {
        "jobs": ["sources.sync"],
        "within_ms": 900_000,
        "share": 0.95,
        "days": 28,
    },
}


def _completed(given: Any) -> Any:
    """Lay what is given over the defaults; null takes one away."""
    if isinstance(given, str) and not given.strip():
        given = {}
    if not isinstance(given, Mapping):
        return given
    complete: dict[str, Any] = {}
    for name in [*_DEFAULTS, *(name for name in given if name not in _DEFAULTS)]:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no name of an objective: a letter, then letters, digits and _, "
                "at most 40, in lower case"
            )
        changes = given.get(name, {})
        if changes is None or changes in ("", "null"):
            continue
        known = _DEFAULTS.get(name, {})
        complete[name] = {**known, **changes} if isinstance(changes, dict) else changes
    return complete


Objectives = Annotated[dict[str, Objective], BeforeValidator(_completed)]
"""Objectives by name; what a setting leaves out of a known one stays as it is."""


def default_objectives() -> dict[str, Objective]:
    """Return the objectives that hold unless settings say otherwise."""
    return {name: Objective.model_validate(given) for name, given in _DEFAULTS.items()}
