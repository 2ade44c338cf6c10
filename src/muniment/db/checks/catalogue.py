"""What the migrations leave behind: indexes, constraints, triggers, functions, policies, grants.

`catalogue.json` beside this file is read off a freshly migrated database (`make catalogue`), and
a test reads it anew; so it cannot drift from the migrations.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from muniment.db.statements import load_statements

if TYPE_CHECKING:
    from muniment.db.unit_of_work import UnitOfWork

FILE = "catalogue.json"
_statements = load_statements("muniment.db.checks")


class Named(msgspec.Struct, frozen=True):
    """An index, a constraint or a trigger."""

    table: str
    """With its schema."""
    name: str
    definition: str
    """The statement that makes it; of a constraint what follows its name."""


class Index(Named, frozen=True):
    """An index."""

    schema: str
    constraint: bool
    """Whether it belongs to a constraint of the same name."""


class Function(msgspec.Struct, frozen=True):
    """A function, by its name and the types of its arguments."""

    signature: str
    owner: str
    definer: bool
    """Whether it runs with the rights of its owner."""
    settings: tuple[str, ...]
    executors: tuple[str, ...]
    """Roles that may call it beside its owner; everybody is called `public`."""
    definition: str


class Policy(msgspec.Struct, frozen=True):
    """A policy of row-level security."""

    name: str
    command: str
    permissive: bool
    roles: tuple[str, ...]
    using: str | None
    check: str | None


class Table(msgspec.Struct, frozen=True):
    """A table and who may do what with its rows."""

    name: str
    """With its schema."""
    owner: str
    has_org: bool
    row_security: bool
    forced: bool
    policies: tuple[Policy, ...]
    grants: dict[str, tuple[str, ...]]
    """Privileges by role."""


class Catalogue(msgspec.Struct, frozen=True):
    """Everything that is compared."""

    tables: tuple[Table, ...]
    indexes: tuple[Index, ...]
    constraints: tuple[Named, ...]
    triggers: tuple[Named, ...]
    functions: tuple[Function, ...]


@cache
def expected_catalogue() -> Catalogue:
    """Return what the migrations of this version leave behind."""
    data = files("muniment.db.checks").joinpath(FILE).read_bytes()
    return msgspec.json.decode(data, type=Catalogue)


async def read_catalogue(work: UnitOfWork) -> Catalogue:
    """Return what is there. What extensions brought is left out."""
    policies: dict[str, list[Policy]] = {}
    for row in await _statements.policies(work):
        fields = dict(row)
        policies.setdefault(fields.pop("table_name"), []).append(msgspec.convert(fields, Policy))
    tables = tuple(
        Table(
            name=row["name"],
            owner=row["owner"],
            has_org=row["has_org"],
            row_security=row["row_security"],
            forced=row["forced"],
            policies=tuple(policies.get(row["name"], ())),
            grants={role: tuple(rights) for role, rights in _pairs(row["grants"])},
        )
        for row in await _statements.tables(work)
    )
    return Catalogue(
        tables,
        tuple(msgspec.convert(dict(row), Index) for row in await _statements.indexes(work)),
        tuple(msgspec.convert(dict(row), Named) for row in await _statements.constraints(work)),
        tuple(msgspec.convert(dict(row), Named) for row in await _statements.triggers(work)),
        tuple(msgspec.convert(dict(row), Function) for row in await _statements.functions(work)),
    )


def _pairs(grants: list[str]) -> list[tuple[str, list[str]]]:
    """Read `role=SELECT,INSERT` entries."""
    found = (entry.partition("=") for entry in grants)
    return [(role, rights.split(",")) for role, _, rights in found]
