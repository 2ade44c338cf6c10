"""Claim due jobs of a lane: PgQueuer picks the rows, the tracked rows start with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from muniment.db import Database, OrgId, UnitOfWork, WorkspaceId, load_statements
from muniment.db.statements import observed
from muniment.jobs.queue_tables import QueueEntry, decode_entry, dequeue
from muniment.jobs.task import Lane

_statements = load_statements("muniment.jobs")


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker has taken and marked as running."""

    queue_id: int
    org_id: OrgId
    job_id: UUID
    workspace_id: WorkspaceId | None
    kind: str
    lane: Lane
    payload: Any
    """As stored: the builtins that msgspec makes of the task's payload struct."""
    attempt: int
    """1 for the first."""
    max_attempts: int
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one look at the queue of a lane has given."""

    claims: list[Claim]
    exhausted: bool
    """Nothing else was due."""
    next_due: timedelta | None
    """When nothing at all was due: time until the next delayed job, if there is one."""


async def claim_jobs(database: Database, worker_id: UUID, lane: Lane, limit: int) -> Claimed:
    """Claim up to `limit` due jobs in one transaction, highest priority and oldest first.

    Raises:
        ServiceUnavailable, asyncpg.PostgresError: nothing was claimed.
    """
    async with database.system() as uow:
        sql, arguments = dequeue(worker_id, lane, limit)
        with observed("jobs.dequeue"):
            rows = await uow.connection.fetch(sql, *arguments)
        claims: list[Claim] = []
        if rows:
            entries = {row["id"]: decode_entry(row["payload"]) for row in rows}
            claims = await _start(uow, worker_id, lane, entries)
        next_due = None if rows else await _statements.next_due(uow, lane=lane.value)
    return Claimed(claims, len(rows) < limit, next_due)


async def _start(
    uow: UnitOfWork, worker_id: UUID, lane: Lane, entries: dict[int, QueueEntry]
) -> list[Claim]:
    started = await _statements.start_jobs(
        uow,
        worker_id=worker_id,
        org_ids=[entry.org_id for entry in entries.values()],
        job_ids=[entry.job_id for entry in entries.values()],
    )
    rows = {row["job_id"]: row for row in started}
    if len(rows) < len(entries):
        left = {key: entry for key, entry in entries.items() if entry.job_id not in rows}
        await _statements.put_back_claims(
            uow,
            queue_ids=list(left),
            org_ids=[entry.org_id for entry in left.values()],
            job_ids=[entry.job_id for entry in left.values()],
        )
    return [
        Claim(
            queue_id,
            OrgId(row["org_id"]),
            row["job_id"],
            row["workspace_id"],
            row["kind"],
            lane,
            row["payload"],
            row["attempts"],
            row["max_attempts"],
            row["deadline"],
        )
        for queue_id, entry in entries.items()
        if (row := rows.get(entry.job_id)) is not None
    ]
