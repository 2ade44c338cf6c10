"""What a request that succeeds is made of, see valid_requests.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from muniment.db import Role
from tests.app.callers import Home, Present, World


@dataclass(frozen=True)
class Call:
    """What a request holds beside its method and path template."""

    ids: Mapping[str, UUID | str] = field(default_factory=dict)
    """For the path."""
    body: dict[str, Any] = field(default_factory=dict)
    """Arguments of the client: json, files, data, params."""


@dataclass(frozen=True)
class Valid:
    """A request that succeeds."""

    status: int
    make: Callable[[World, Home, Present], Awaitable[Call]]
    """Makes what the request names in an organization, for a caller."""
    names: Literal["nothing", "organization", "workspace", "person"] = "nothing"
    """To whom the things belong that it names: an organization, its first workspace, a person."""
    there: Role | None = None
    """Role that the caller needs in the first workspace."""
    leaves_out: bool = False
    """What is not the caller's is missing in the answer's `items`, rather than refused."""
    people_only: bool = False
    """Keys are refused, though the action is theirs."""


def sends(status: int, ids: dict[str, UUID] | None = None, **body: Any) -> Valid:
    """A request that names nothing of anybody's."""

    async def make(_world: World, _home: Home, _who: Present) -> Call:
        return Call(ids or {}, body)

    return Valid(status, make)
