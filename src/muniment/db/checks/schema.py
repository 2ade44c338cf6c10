"""Whether everything that the migrations made is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from muniment.db.checks.catalogue import (
    Catalogue,
    Function,
    Index,
    Named,
    Table,
    expected_catalogue,
    read_catalogue,
)
from muniment.db.doctor import Examination, Fault, Severity, doctor_check, quoted

OWNER = "muniment_owner"
_RESTORE = (
    "Stop the processes and restore the database from a backup, or ask for help: "
    "rows are missing that nothing can make again."
)


@doctor_check(
    "db.missing_indexes",
    "Every index that the migrations made is there, as they made it.",
    Severity.ERROR,
)
async def missing_indexes(examination: Examination) -> list[Fault]:
    """Compare the indexes; those of constraints are told with their constraint."""
    found = await _found(examination)
    there = {(index.table, index.name): index for index in found.indexes}
    tables = {table.name for table in found.tables}
    return [
        _missing_index(index, there.get((index.table, index.name)))
        for index in expected_catalogue().indexes
        if not index.constraint
        and index.table in tables
        and not _same(index, there.get((index.table, index.name)))
    ]


@doctor_check(
    "db.missing_objects",
    "Every table, constraint, trigger and function of the migrations is there.",
    Severity.ERROR,
)
async def missing_objects(examination: Examination) -> list[Fault]:
    """Compare what is not an index."""
    found = await _found(examination)
    wanted = expected_catalogue()
    tables = {table.name for table in found.tables}
    faults = [
        Fault(
            title=f"The table {table.name} is missing.",
            evidence=f"The migrations make {table.name}; the database has no such table.",
            remedy=_RESTORE,
        )
        for table in wanted.tables
        if table.name not in tables
    ]
    faults += _missing_functions(wanted.functions, found.functions)
    faults += (
        _missing_named("constraint", each, _add_constraint(each))
        for each in _lacking(wanted.constraints, found.constraints, tables)
    )
    faults += (
        _missing_named("trigger", each, _add_trigger(each))
        for each in _lacking(wanted.triggers, found.triggers, tables)
    )
    return faults


@doctor_check(
    "db.grants",
    "Each role may do with each table what the migrations allow it, and no more.",
    Severity.ERROR,
)
async def grants(examination: Examination) -> list[Fault]:
    """Compare the privileges on tables, and who may call functions."""
    found = await _found(examination)
    wanted = {table.name: table for table in expected_catalogue().tables}
    faults: list[Fault] = []
    for table in found.tables:
        if table.name in wanted:
            faults += _wrong_grants(wanted[table.name], table)
    functions = {function.signature: function for function in expected_catalogue().functions}
    for function in found.functions:
        if function.signature in functions:
            faults += _wrong_executors(functions[function.signature], function)
    return faults


async def _found(examination: Examination) -> Catalogue:
    async with examination.database.operator() as work:
        return await read_catalogue(work)


def _same(wanted: Index, found: Index | None) -> bool:
    return found is not None and found.definition == wanted.definition


def _missing_index(index: Index, found: Index | None) -> Fault:
    if found is None:
        return Fault(
            title=f"The index {index.name} is missing.",
            evidence=f"The migrations make {index.name} on {index.table}; it is not there.",
            remedy="Make it again; reads and writes go on meanwhile.",
            sql=(_concurrently(index.definition),),
        )
    return Fault(
        title=f"The index {index.name} is not the one that the migrations made.",
        evidence=f"It should be: {index.definition}. It is: {found.definition}.",
        remedy="Put the right one in its place.",
        sql=(
            f"DROP INDEX CONCURRENTLY {quoted(index.schema)}.{quoted(index.name)}",
            _concurrently(index.definition),
        ),
        severity=Severity.WARNING,
    )


def _concurrently(definition: str) -> str:
    head, space, rest = definition.partition(" INDEX ")
    return f"{head}{space}CONCURRENTLY {rest}"


def _lacking(wanted: Iterable[Named], found: Iterable[Named], tables: set[str]) -> Iterator[Named]:
    there = {(each.table, each.name) for each in found}
    for each in wanted:
        if each.table in tables and (each.table, each.name) not in there:
            yield each


def _missing_named(kind: str, each: Named, sql: tuple[str, ...]) -> Fault:
    return Fault(
        title=f"The {kind} {each.name} of {each.table} is missing.",
        evidence=f"The migrations make it ({each.definition}); it is not there, or switched off.",
        remedy="Make it again; what was written meanwhile may have to be put right first.",
        sql=sql,
    )


def _add_constraint(each: Named) -> tuple[str, ...]:
    return (f"ALTER TABLE {each.table} ADD CONSTRAINT {quoted(each.name)} {each.definition}",)


def _add_trigger(each: Named) -> tuple[str, ...]:
    # It may be there and switched off.
    return (
        f"DROP TRIGGER IF EXISTS {quoted(each.name)} ON {each.table}",
        each.definition,
    )


def _missing_functions(wanted: Iterable[Function], found: Iterable[Function]) -> Iterator[Fault]:
    there = {function.signature: function for function in found}
    for function in wanted:
        now = there.get(function.signature)
        if now is not None and _traits(now) == _traits(function):
            continue
        state = "missing" if now is None else "not as the migrations made it"
        differs = [] if now is None else _differences(function, now)
        yield Fault(
            title=f"The function {function.signature} is {state}.",
            evidence=f"It differs in its {' and '.join(differs)}."
            if differs
            else "The migrations make it; it is not there.",
            remedy="Make it again with its owner and its rights.",
            sql=(
                function.definition,
                f"ALTER FUNCTION {function.signature} OWNER TO {quoted(function.owner)}",
                f"REVOKE ALL ON FUNCTION {function.signature} FROM PUBLIC",
                *(_grant_execute(function, role) for role in function.executors),
            ),
        )


def _traits(function: Function) -> dict[str, object]:
    """Return what must be the same.

    Of the body only a text is compared; how the server writes out one that it has parsed depends
    on its version.
    """
    head, quote, body = function.definition.partition("\nAS $")
    return {
        "owner": function.owner,
        "security (definer or invoker)": function.definer,
        "settings": function.settings,
        "body": body if quote and head else None,
    }


def _differences(wanted: Function, found: Function) -> list[str]:
    there = _traits(found)
    return [name for name, value in _traits(wanted).items() if there[name] != value]


def _grant_execute(function: Function, role: str) -> str:
    return f"GRANT EXECUTE ON FUNCTION {function.signature} TO {_grantee(role)}"


def _grantee(role: str) -> str:
    return "PUBLIC" if role == "public" else quoted(role)


def _wrong_grants(wanted: Table, found: Table) -> Iterator[Fault]:
    for role in sorted({*wanted.grants, *found.grants}):
        if not (role == "public" or role.startswith("muniment_")):
            continue  # somebody's own, for reports or backups
        allowed, has = set(wanted.grants.get(role, ())), set(found.grants.get(role, ()))
        lacking, extra = sorted(allowed - has), sorted(has - allowed)
        on = f"ON {wanted.name}"
        if lacking:
            yield Fault(
                title=f"{role} lacks rights on {wanted.name}.",
                evidence=f"It may not {', '.join(lacking)}, which the migrations allow it.",
                remedy="Grant the rights.",
                sql=(f"GRANT {', '.join(lacking)} {on} TO {_grantee(role)}",),
            )
        if extra:
            yield Fault(
                title=f"{role} has too many rights on {wanted.name}.",
                evidence=f"It may {', '.join(extra)}, which the migrations do not allow it.",
                remedy="Revoke the rights.",
                sql=(f"REVOKE {', '.join(extra)} {on} FROM {_grantee(role)}",),
            )


def _wrong_executors(wanted: Function, found: Function) -> Iterator[Fault]:
    for role in sorted({*wanted.executors, *found.executors}):
        if not (role == "public" or role.startswith("muniment_")):
            continue
        if role in wanted.executors and role not in found.executors:
            yield Fault(
                title=f"{role} may not call {wanted.signature}.",
                evidence="The migrations allow it.",
                remedy="Grant the right.",
                sql=(_grant_execute(wanted, role),),
            )
        elif role not in wanted.executors:
            yield Fault(
                title=f"{role} may call {wanted.signature}.",
                evidence="The migrations do not allow it.",
                remedy="Revoke the right.",
                sql=(f"REVOKE EXECUTE ON FUNCTION {wanted.signature} FROM {_grantee(role)}",),
            )


checks = [missing_indexes, missing_objects, grants]
