"""Jobs of the past, written into the table as if workers had run them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from muniment.db import TenantScope, first_id_at
from muniment.jobs import Lane

LANE_OF = {"tests.a": Lane.FAST, "tests.b": Lane.CONVERT, "tests.c": Lane.CONVERT}


@dataclass(frozen=True)
class Past:
    """A job, and when what happened to it."""

    job_id: UUID
    kind: str
    status: str
    queued_at: datetime
    run_after: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def ran(self) -> float | None:
        """Seconds."""
        if self.finished_at is None or self.started_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def waited(self) -> float | None:
        """Seconds."""
        if self.finished_at is None or self.started_at is None:
            return None
        return (self.started_at - (self.run_after or self.queued_at)).total_seconds()


def past_jobs(number: int, now: datetime, span: timedelta, seed: int = 1) -> list[Past]:
    """Make jobs that were queued at random within a span before now."""
    chance = random.Random(seed)
    return [_past(chance, now, span) for _ in range(number)]


def _past(chance: random.Random, now: datetime, span: timedelta) -> Past:
    queued = (now - span * chance.random()).replace(microsecond=1000 * chance.randrange(1000))
    version = 7 << 76 | 2 << 62
    job_id = UUID(int=first_id_at(queued).int | version | chance.getrandbits(62))
    after = queued + timedelta(seconds=chance.expovariate(0.1)) if chance.random() < 0.2 else None
    started: datetime | None = (after or queued) + timedelta(seconds=chance.expovariate(1))
    finished: datetime | None = (started or now) + timedelta(seconds=chance.expovariate(0.3))
    status = chance.choices(["succeeded", "failed", "cancelled"], [20, 3, 1])[0]
    if status == "cancelled" and chance.random() < 0.5:
        started = None
    if finished is not None and finished >= now:
        started = finished = None
        status = "queued"
    kind = chance.choice(list(LANE_OF))
    return Past(job_id, kind, status, queued, after, started, finished)


async def write_past(
    owner: asyncpg.Connection[Any], scope: TenantScope, jobs: Sequence[Past]
) -> None:
    """Write them for the organization of a scope, as the owner of the tables."""
    await owner.executemany(
        "INSERT INTO jobs (org_id, job_id, workspace_id, kind, lane, status, payload,"
        " max_attempts, deadline, error, queued_at, run_after, started_at, finished_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, '{}', 1, '1 minute', $7, $8, $9, $10, $11)",
        [
            (
                scope.org_id,
                job.job_id,
                scope.workspace_id,
                job.kind,
                LANE_OF[job.kind].value,
                job.status,
                '{"code": "c", "detail": "d"}' if job.status == "failed" else None,
                job.queued_at,
                job.run_after,
                job.started_at,
                job.finished_at,
            )
            for job in jobs
        ],
    )
