"""Whether every organization's rows are closed to the others."""

from __future__ import annotations

from collections.abc import Iterator

from muniment.db.checks.catalogue import Policy, Table, expected_catalogue, read_catalogue
from muniment.db.doctor import Examination, Fault, Needs, Severity, doctor_check, plural, quoted
from muniment.db.statements import load_statements

_statements = load_statements("muniment.db.checks")

UNPRIVILEGED = ("muniment_app", "muniment_worker")
"""Roles that row-level security must bind."""
ROLES = (*UNPRIVILEGED, "muniment_operator")


@doctor_check(
    "db.row_security",
    "Row-level security is on, forced, and of the one policy on every table of organizations.",
    Severity.ERROR,
)
async def row_security(examination: Examination) -> list[Fault]:
    """Compare the tables with those of the migrations, and look for tables that are new."""
    async with examination.database.operator() as work:
        found = await read_catalogue(work)
    wanted = {table.name: table for table in expected_catalogue().tables}
    faults: list[Fault] = []
    for table in found.tables:
        if table.name in wanted:
            faults += _faults(wanted[table.name], table)
        elif table.has_org and not (table.row_security and table.forced and table.policies):
            faults.append(_unprotected(table))
    return faults


def _faults(wanted: Table, found: Table) -> Iterator[Fault]:
    if wanted.row_security and not found.row_security:
        yield Fault(
            title=f"Row-level security is off on {found.name}.",
            evidence="Every organization can read and write the rows of all others.",
            remedy="Switch it on at once, then find out who switched it off.",
            sql=(f"ALTER TABLE {found.name} ENABLE ROW LEVEL SECURITY",),
        )
    if wanted.forced and not found.forced:
        yield Fault(
            title=f"Row-level security is not forced on {found.name}.",
            evidence="The owner of the table looks past its policy.",
            remedy="Force it.",
            sql=(f"ALTER TABLE {found.name} FORCE ROW LEVEL SECURITY",),
        )
    if sorted(found.policies, key=_name) == sorted(wanted.policies, key=_name):
        return
    right = {policy.name: policy for policy in wanted.policies}
    there = {policy.name: policy for policy in found.policies}
    drops = [name for name in there if right.get(name) != there[name]]
    makes = [policy for policy in wanted.policies if there.get(policy.name) != policy]
    yield Fault(
        title=f"The policies of {found.name} are not the ones that the migrations made.",
        evidence=f"Missing: {[each.name for each in makes]}; to be removed: {drops}.",
        remedy="Put the right ones in their place at once, then find out who changed them.",
        # In one statement, so that there is no moment without a policy.
        sql=(
            "; ".join(
                [
                    *(f"DROP POLICY {quoted(name)} ON {found.name}" for name in drops),
                    *(_create(found.name, policy) for policy in makes),
                ]
            ),
        ),
    )


def _unprotected(table: Table) -> Fault:
    return Fault(
        title=f"The table {table.name} has organizations but no row-level security.",
        evidence="It has a column org_id, and no policy that is enabled and forced.",
        remedy="Close it, or move it out of the schemas public and queue.",
        sql=(f"SELECT protect_tenant_table('{table.name}')",),
    )


def _name(policy: Policy) -> str:
    return policy.name


def _create(table: str, policy: Policy) -> str:
    kind = "PERMISSIVE" if policy.permissive else "RESTRICTIVE"
    roles = ", ".join("PUBLIC" if role == "public" else quoted(role) for role in policy.roles)
    using = "" if policy.using is None else f" USING ({policy.using})"
    check = "" if policy.check is None else f" WITH CHECK ({policy.check})"
    return (
        f"CREATE POLICY {quoted(policy.name)} ON {table} AS {kind} FOR {policy.command}"
        f" TO {roles}{using}{check}"
    )


@doctor_check(
    "db.roles",
    "The roles of application and worker are bound by row-level security and own nothing.",
    Severity.ERROR,
    needs=Needs.DATABASE,
)
async def roles(examination: Examination) -> list[Fault]:
    """Look at the attributes of our roles, what they are members of and what they own."""
    async with examination.database.operator() as work:
        rows = await _statements.roles(work, names=[*ROLES])
    above = {row["name"]: row["member_of"] for row in rows}
    faults = []
    for row in rows:
        name = row["name"]
        attributes = {
            "SUPERUSER": row["superuser"],
            "BYPASSRLS": row["bypasses"] and name in UNPRIVILEGED,
            "CREATEROLE": row["creates_roles"],
        }
        excess = [attribute for attribute, there in attributes.items() if there]
        if excess:
            faults.append(
                Fault(
                    title=f"The role {name} may too much.",
                    evidence=f"It has {' and '.join(excess)}, which looks past every policy.",
                    remedy="Take it away at once, then find out who granted it.",
                    sql=(f"ALTER ROLE {name} {' '.join('NO' + each for each in excess)}",),
                )
            )
        # What a role has through another of ours is told of that one.
        inherited = {each for other in row["member_of"] for each in above.get(other, ())}
        faults += _memberships(name, set(row["member_of"]) - inherited)
        if row["owned"]:
            faults.append(
                Fault(
                    title=f"The role {name} owns tables.",
                    evidence=f"It owns {plural(row['owned'], 'relation')}; an owner can switch "
                    "row-level security off.",
                    remedy="Give them to the owner of the schema.",
                    sql=(f"REASSIGN OWNED BY {name} TO muniment_owner",),
                )
            )
    return faults


def _memberships(name: str, member_of: set[str]) -> Iterator[Fault]:
    closed = {"muniment_owner", "muniment_definer", "pg_read_all_data", "pg_write_all_data"}
    if name in UNPRIVILEGED:
        closed.add("muniment_operator")
    for role in sorted(closed & member_of):
        yield Fault(
            title=f"The role {name} is a member of {role}.",
            evidence="With SET ROLE it can look past row-level security or change the schema.",
            remedy="Revoke the membership.",
            sql=(f"REVOKE {role} FROM {name}",),
        )


checks = [row_security, roles]
