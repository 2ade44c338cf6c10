"""Put jobs into the queue, in the transaction of the rows that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NewType
from uuid import UUID

import msgspec

from muniment.db import UnitOfWork, load_statements, new_id
from muniment.jobs.task import Payload, Task
from muniment.jobs.tracing import current_traceparent

JobId = NewType("JobId", UUID)

_statements = load_statements("muniment.jobs")


async def enqueue(
    uow: UnitOfWork,
    task: Task[Payload],
    payload: Payload,
    *,
    dedupe_key: str | None = None,
    priority: int = 0,
    run_after: timedelta = timedelta(0),
    parent_id: UUID | None = None,
    group_id: UUID | None = None,
) -> JobId:
    """Enqueue one job; it becomes visible to workers when the transaction commits.

    With a `dedupe_key`, a job of the same kind, organization and key that nobody has started
    yet stands for this one too: its id is returned, and it will start only after this
    transaction has committed. Nor will it start while an equal one is under way.

    Organizations take turns in a lane. Of an organization's jobs the highest `priority` starts
    first, and of equal ones groups take turns; `group_id` names the source that a job is about.
    `run_after` delays the start.
    """
    job_ids = await enqueue_many(
        uow,
        task,
        [payload],
        dedupe_keys=None if dedupe_key is None else [dedupe_key],
        priority=priority,
        run_after=run_after,
        parent_id=parent_id,
        group_id=group_id,
    )
    return job_ids[0]


async def enqueue_many(
    uow: UnitOfWork,
    task: Task[Payload],
    payloads: Sequence[Payload],
    *,
    dedupe_keys: Sequence[str | None] | None = None,
    priority: int = 0,
    run_after: timedelta = timedelta(0),
    parent_id: UUID | None = None,
    group_id: UUID | None = None,
) -> list[JobId]:
    """Enqueue a job for each payload in one statement; return their ids in the same order.

    See `enqueue`. Payloads of this call that share a dedupe key become one job, with the
    first of these payloads.
    """
    if not payloads:
        return []
    keys = [None] * len(payloads) if dedupe_keys is None else list(dedupe_keys)
    if len(keys) != len(payloads):
        raise ValueError("there must be as many dedupe keys as payloads")

    firsts: dict[str, int] = {}
    for index, key in enumerate(keys):
        if key is not None:
            firsts.setdefault(key, index)
    kept = [index for index, key in enumerate(keys) if key is None or firsts[key] == index]
    fresh = {index: new_id() for index in kept}
    rows = await _statements.insert_jobs(
        uow,
        org_id=uow.scope.org_id,
        workspace_id=uow.scope.workspace_id,
        parent_id=parent_id,
        group_id=group_id,
        kind=task.kind,
        lane=task.lane.value,
        priority=priority,
        max_attempts=task.max_attempts,
        deadline=task.deadline,
        run_after=run_after,
        trace=current_traceparent(),
        job_ids=list(fresh.values()),
        payloads=[msgspec.to_builtins(payloads[index]) for index in kept],
        dedupe_keys=[keys[index] for index in kept],
    )
    stored = {row["dedupe_key"]: row["job_id"] for row in rows if row["dedupe_key"] is not None}
    return [JobId(fresh[index] if key is None else stored[key]) for index, key in enumerate(keys)]
