"""Organizations that own a row in every tenant table, and persons in every personal one."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from muniment.db import Database, OrgId, Role, TenantScope, UnitOfWork, UserId, WorkspaceId, new_id
from muniment.jobs import Lane, RunningJob, enqueue, task
from muniment.tenancy.secrets import hash_of, new_secret
from tests.reconcile.reconciled import Entry, Found, write_reconciled
from tests.search.library import INDEX, MODEL, Added, add_document, new_library, unit

Connection = Any
"""An asyncpg connection, or what a pool wraps around one."""

TABLES = """
SELECT
    c.oid::regclass::text AS name, n.nspname AS schema,
    ARRAY(
        SELECT attname::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
    ) AS columns,
    ARRAY(
        SELECT attname::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attgenerated = '' AND a.attidentity <> 'a'
    ) AS writable,
    ARRAY(
        SELECT a.attname::text FROM pg_index i, unnest(i.indkey) AS key
        JOIN pg_attribute a ON a.attnum = key
        WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid
    ) AS primary_key
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname !~ '^(pg_|information_schema)'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY name
"""
"""Everything in the database that can be read like a table, but Postgres's own."""

SHARED = {
    "alembic_version": "the schema's revision",
    "embedding_models": "names of models, the same for all",
    "objective_counts": "how long requests and jobs took, of the whole installation",
    "objective_writers": "numbers of processes and of what they wrote last",
    "operator_keys": "closed to the application altogether",
    "queue.paused_lanes": "names of lanes, which all organizations share",
    "queue.upkeep": "when the installation was last tidied",
    "queue.watched": "random ids of jobs that somebody listens to",
}
"""Tables that belong to no organization and no person, and why that gives nothing away."""
PERSONAL = {"users", "identities", "sessions", "password_resets"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows belong to an organization or a person."""

    name: str
    columns: list[str]
    writable: list[str]
    primary_key: list[str]

    @property
    def owner(self) -> str:
        """The column that tells whose a row is."""
        return "user_id" if self.name in PERSONAL else "org_id"


class Payload(msgspec.Struct):
    """What the job of an organization is about."""

    text: str


@task(kind="tests.isolation", lane=Lane.FAST)
async def isolated(_job: RunningJob, _payload: Payload) -> None:
    """Exists to be enqueued."""


@dataclass
class Filled:
    """An organization with a row everywhere, and its owner."""

    scope: TenantScope
    email: str
    secrets: dict[str, str]
    """Of its key, session, reset and invitation."""
    document: Added = field(default_factory=lambda: Added(new_id(), []))

    @property
    def org_id(self) -> OrgId:
        return self.scope.org_id

    @property
    def user_id(self) -> UserId:
        assert self.scope.user_id is not None
        return self.scope.user_id

    def owned(self, table: Table) -> UUID:
        """Return what the owning column of a table holds for this one."""
        return self.user_id if table.owner == "user_id" else self.org_id


async def guarded_tables(database: Database) -> list[Table]:
    """Return every table but those that are known to be shared, as the catalogue has them."""
    async with database.operator() as work:
        rows = await work.connection.fetch(TABLES)
    assert {row["name"] for row in rows} >= set(SHARED) | PERSONAL
    return [
        Table(row["name"], row["columns"], row["writable"], row["primary_key"])
        for row in rows
        if row["name"] not in SHARED
    ]


async def fill(database: Database, name: str) -> Filled:
    """Make an organization that owns a row in every tenant table, as the application would."""
    users = [UserId(new_id()), UserId(new_id())]
    emails = [f"{person}@{name}.example" for person in ("owner", "second")]
    words = {kind: new_secret() for kind in ("api_key", "session", "reset", "invitation")}
    scope = TenantScope(
        OrgId(new_id()), None, f"user:{users[0]}", Role.OWNER, user_id=users[0], address="::1"
    )
    filled = Filled(scope, emails[0], words)
    for user_id, email in zip(users, emails, strict=True):
        async with database.person(user_id) as work:
            await _person(work, user_id, email, words["reset"] if email == emails[0] else None)
    async with database.unit_of_work(scope) as work:
        workspace_id = await _organization(work, name)
        await _people(work, name, workspace_id, list(zip(users, emails, strict=True)), words)
        await _library(work, name, filled)
        await _reconciliation(work, name, workspace_id)
        parent = await enqueue(work, isolated, Payload(f"secret of {name}"))
        in_workspace = UnitOfWork(work.connection, replace(scope, workspace_id=workspace_id))
        await enqueue(in_workspace, isolated, Payload("part"), parent_id=parent)
    return filled


async def _person(work: UnitOfWork, user_id: UserId, email: str, reset: str | None) -> None:
    run = work.connection.execute
    await run(
        "INSERT INTO users (user_id, email, name, password_hash) VALUES ($1, $2, $3, 'none')",
        user_id,
        email,
        f"name of {email}",
    )
    await run(
        "INSERT INTO identities (user_id, issuer, subject) VALUES ($1, 'https://issuer', $2)",
        user_id,
        email,
    )
    await run(
        "INSERT INTO password_resets (user_id, token_hash, expires_at) VALUES ($1, $2, now() + $3)",
        user_id,
        hash_of(reset or new_secret()),
        timedelta(hours=1),
    )


async def _organization(work: UnitOfWork, name: str) -> WorkspaceId:
    workspace_id = WorkspaceId(new_id())
    run, org_id = work.connection.execute, work.scope.org_id
    await run("INSERT INTO organizations (org_id, name) VALUES ($1, $2)", org_id, name)
    await run(
        "INSERT INTO workspaces (org_id, workspace_id, name) VALUES ($1, $2, $3)",
        org_id,
        workspace_id,
        f"workspace of {name}",
    )
    return workspace_id


async def _people(
    work: UnitOfWork,
    name: str,
    workspace_id: WorkspaceId,
    users: list[tuple[UserId, str]],
    words: dict[str, str],
) -> None:
    run, org_id = work.connection.execute, work.scope.org_id
    for user_id, email in users:
        await run(
            "INSERT INTO members (org_id, user_id, email, name, role)"
            " VALUES ($1, $2, $3, $3, 'owner')",
            org_id,
            user_id,
            email,
        )
    await run(
        "INSERT INTO workspace_roles (org_id, workspace_id, user_id, role)"
        " VALUES ($1, $2, $3, 'viewer')",
        org_id,
        workspace_id,
        users[0][0],
    )
    await run(
        "INSERT INTO sessions (user_id, session_id, token_hash, org_id, expires_at)"
        " VALUES ($1, $2, $3, $4, now() + interval '1 day')",
        users[0][0],
        new_id(),
        hash_of(words["session"]),
        org_id,
    )
    await run(
        "INSERT INTO invitations"
        " (org_id, invitation_id, email, role, token_hash, invited_by, expires_at)"
        " VALUES ($1, $2, $3, 'editor', $4, 'test', now() + interval '1 day')",
        org_id,
        new_id(),
        f"guest@{name}.example",
        hash_of(words["invitation"]),
    )
    await run(
        "INSERT INTO api_keys (org_id, api_key_id, name, prefix, hash, role, workspace_id)"
        " VALUES ($1, $2, $3, 'mun_test', $4, 'owner', $5)",
        org_id,
        new_id(),
        f"key of {name}",
        hash_of(words["api_key"]),
        workspace_id,
    )
    await run(
        "INSERT INTO audit_log (org_id, entry_id, actor, action, target_type, target_id)"
        " VALUES ($1, $2, 'test', 'test.filled', 'organization', $3)",
        org_id,
        new_id(),
        name,
    )


async def _library(work: UnitOfWork, name: str, filled: Filled) -> None:
    library = await new_library(work, f"workspace of {name}")
    await work.connection.execute(
        "INSERT INTO job_schedules"
        " (org_id, schedule_id, name, kind, payload, cron, timezone, next_at)"
        " VALUES ($1, $2, $3, 'tests.isolation', '{}', '0 3 * * *', 'UTC', now())",
        work.scope.org_id,
        new_id(),
        f"schedule of {name}",
    )
    await work.connection.execute(
        "INSERT INTO sync_runs (org_id, run_id, source_id) VALUES ($1, $2, $3)",
        work.scope.org_id,
        new_id(),
        library.source_id,
    )
    # Many and then one: the one is too little to be folded into the statistics of words.
    await add_document(work, library, [f"filler {number} of {name}" for number in range(20)])
    filled.document = await add_document(
        work, library, [f"the archive of {name} in confidence"], title=f"Report of {name}"
    )
    await INDEX.upsert_embeddings(work, MODEL, filled.document.chunk_ids, unit(1)[None])


async def _reconciliation(work: UnitOfWork, name: str, workspace_id: WorkspaceId) -> None:
    made = await write_reconciled(
        work,
        [Entry({"name": f"left of {name}"}, "L1")],
        [Entry({"name": f"right of {name}"}, "R1")],
        [Found(1, 1)],
        workspace_id=workspace_id,
    )
    run, org_id = work.connection.execute, work.scope.org_id
    await run(
        "INSERT INTO dataset_parts (org_id, dataset_id, ordinal, origin, name, replaces)"
        """ VALUES ($1, $2, 1, '{"kind": "upload"}', $3, true)""",
        org_id,
        made.datasets["left"],
        f"file of {name}",
    )
    await run(
        "INSERT INTO decisions (org_id, decision_id, reconciliation_id, match_id, left_record_id,"
        " right_record_id, action, status_before, status_after, version, actor)"
        " VALUES ($1, $2, $3, $4, $5, $6, 'accept', 'matched', 'accepted', 2, 'test')",
        org_id,
        new_id(),
        made.id,
        made.matches[0],
        made.record("left", 1),
        made.record("right", 1),
    )
    await run(
        "INSERT INTO golden_values (org_id, reconciliation_id, cluster_id, column_name, value,"
        " set_by) VALUES ($1, $2, $3, 'name', $4, 'test')",
        org_id,
        made.id,
        new_id(),
        f"golden name of {name}",
    )


async def rows_of(database: Database, table: Table, owner: UUID) -> list[dict[str, Any]]:
    """Return all rows of an owner, as the operator sees them."""
    async with database.operator() as work:
        rows = await work.connection.fetch(
            f"SELECT to_jsonb(t) AS row FROM {table.name} AS t"
            f" WHERE {table.owner} = $1 ORDER BY to_jsonb(t)::text",
            owner,
        )
    return [row["row"] for row in rows]


async def insert(
    connection: Connection, table: Table, row: dict[str, Any], *, then: str = ""
) -> str:
    """Insert a row as `rows_of` gives them; `then` follows the values."""
    columns = ", ".join(table.writable)
    return await connection.execute(
        f"INSERT INTO {table.name} ({columns})"
        f" SELECT {columns} FROM jsonb_populate_record(NULL::{table.name}, $1) {then}",
        row,
    )


def fresh(row: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    """Return a row with new ids and hashes in some columns, so that they are not taken."""
    changed = dict(row)
    for column in columns:
        if str(row[column]).startswith("\\x"):
            changed[column] = "\\x" + secrets.token_hex(32)
        elif isinstance(row[column], str) and len(row[column]) == 36:
            changed[column] = str(new_id())
    return changed


@dataclass(frozen=True)
class Both:
    """Two organizations and what there is to defend."""

    database: Database
    ours: Filled
    theirs: Filled
    tables: list[Table]

    @asynccontextmanager
    async def attack(self) -> AsyncIterator[UnitOfWork]:
        """A transaction of ours, which is committed whatever it managed to do."""
        async with self.database.unit_of_work(self.ours.scope) as work:
            yield work

    async def rows(self, of: Filled) -> dict[str, list[dict[str, Any]]]:
        return {t.name: await rows_of(self.database, t, of.owned(t)) for t in self.tables}


@asynccontextmanager
async def undone(connection: Connection) -> AsyncIterator[None]:
    """A part of the transaction that leaves nothing behind, however it ends."""
    await connection.execute("SAVEPOINT attack")
    try:
        yield
    finally:
        await connection.execute("ROLLBACK TO SAVEPOINT attack; RELEASE SAVEPOINT attack")


async def refused(
    connection: Connection,
    query: str,
    *arguments: Any,
    also: type[asyncpg.PostgresError] = asyncpg.InsufficientPrivilegeError,
) -> bool:
    """Tell whether a statement, tried and undone, is refused for want of a right."""
    try:
        async with undone(connection):
            await connection.execute(query, *arguments)
    except (asyncpg.InsufficientPrivilegeError, also):
        return True
    return False
