"""What a check of the doctor is: every room has some, and `observability.doctor` runs them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

if TYPE_CHECKING:
    from muniment.db.database import Database
    from muniment.settings import Settings

T = TypeVar("T")

CHECK_SECONDS = 10.0
"""Time of one check, unless it names another."""


class Severity(StrEnum):
    """How bad a finding is, worst first."""

    ERROR = "error"
    """Something is broken, lost or open: `muniment doctor` exits with 1."""
    WARNING = "warning"
    """It works, but badly or not for long."""
    INFO = "info"
    """Worth knowing; nothing has to be done."""


class Needs(StrEnum):
    """What must be there for a check to make sense."""

    NOTHING = "nothing"
    DATABASE = "database"
    """The database answers."""
    SCHEMA = "schema"
    """The schema is the one of this version."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a check found wrong."""

    title: str
    """One sentence that names the thing."""
    evidence: str
    """What was measured."""
    remedy: str
    """What to do about it."""
    sql: tuple[str, ...] = ()
    """Statements that the administrator of the database runs, each by itself, to mend it."""
    settings: dict[str, str] = {}
    """Settings to change, by the name of the environment variable."""
    command: str | None = None
    """A command that mends it."""
    severity: Severity | None = None
    """That of the check unless given."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong with the installation, as it is told."""

    id: str
    """Of the check, ``room.name``; several findings may share it."""
    room: str
    severity: Severity
    title: str
    """One sentence that names the thing."""
    evidence: str
    """What was measured."""
    remedy: str
    """What to do about it."""
    sql: tuple[str, ...]
    """Statements that the administrator of the database runs, each by itself, to mend it."""
    settings: dict[str, str]
    """Settings to change, by the name of the environment variable."""
    command: str | None
    """A command that mends it."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Examination:
    """What a check may look at. It changes nothing but probes that it removes again."""

    database: Database
    settings: Settings
    resources: Mapping[type[Any], Callable[[], Awaitable[Any]]] = field(default_factory=dict)
    """By type what this process can lend beside the database: embedder, blobs, cache."""
    now: Callable[[], datetime] = _utc_now
    """The clock of this machine."""

    async def lend(self, kind: type[T]) -> T | None:
        """Return the object of a type, opened if need be; None where this process has none.

        Raises:
            MunimentError: it cannot be opened.
        """
        opened = self.resources.get(kind)
        return None if opened is None else await opened()


def lend(thing: T) -> Callable[[], Awaitable[T]]:
    """Return what `Examination.resources` holds for something that is open already."""

    async def lent() -> T:
        return thing

    return lent


Examine = Callable[[Examination], Awaitable[list[Fault]]]


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """One thing that the doctor looks at."""

    id: str
    title: str
    """What should hold, in one sentence."""
    severity: Severity
    """The worst that it finds, and how bad it is when the check cannot be made."""
    examine: Examine
    needs: Needs = Needs.SCHEMA
    seconds: float = CHECK_SECONDS
    """Time after which the check is given up."""

    @property
    def room(self) -> str:
        """The room whose check it is."""
        return self.id.partition(".")[0]

    def finding(self, fault: Fault) -> Finding:
        """Return a fault as it is told."""
        return Finding(
            id=self.id,
            room=self.room,
            severity=fault.severity or self.severity,
            title=fault.title,
            evidence=fault.evidence,
            remedy=fault.remedy,
            sql=fault.sql,
            settings=fault.settings,
            command=fault.command,
        )


def doctor_check(
    check_id: str,
    title: str,
    severity: Severity,
    *,
    needs: Needs = Needs.SCHEMA,
    seconds: float = CHECK_SECONDS,
) -> Callable[[Examine], DoctorCheck]:
    """Make a check of a function; the room lists it among its `checks`."""

    def decorate(examine: Examine) -> DoctorCheck:
        return DoctorCheck(check_id, title, severity, examine, needs, seconds)

    return decorate


def quoted(name: str) -> str:
    """Return an SQL identifier in quotes."""
    return '"' + name.replace('"', '""') + '"'


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 row`, `2,000 rows`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
