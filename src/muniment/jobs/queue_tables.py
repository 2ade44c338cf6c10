"""PgQueuer's statements for the queue table that migration 0002 created.

PgQueuer brings the parts that are hard to get right between workers: enqueueing in the
caller's transaction and claiming with SKIP LOCKED in order of priority. How jobs end is ours
(`finish_jobs`, `requeue_jobs` in the migration), because there the queue row and the tracked
row change together, and only if this worker still holds the job.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel, QueueEntrypoint, QueueManagerId

from muniment.jobs.task import Lane

# All names are given, because PgQueuer takes those that are not from environment variables as
# common as FUNCTION and TRIGGER.
_SETTINGS = DBSettings(
    prefix="",
    db_schema="queue",
    channel=Channel("muniment_jobs"),
    function="announce_work",
    trigger="announce_work",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    queue_status_type="pgqueuer_status",
    statistics_table="pgqueuer_statistics",
    schedules_table="pgqueuer_schedules",
    durability=Durability.durable,
    widen_id=False,
)
_BUILDER = QueryQueueBuilder(settings=_SETTINGS)

CHANNEL = "muniment_jobs"
"""NOTIFY channel on which a lane is announced when it gets work; see migration 0002."""

ENQUEUE = _BUILDER.build_enqueue_query()

_NEVER = timedelta(days=36500)
"""Claims never take jobs from a worker that has gone quiet; `take_over` decides on those."""


class QueueEntry(msgspec.Struct, frozen=True):
    """What a queue row carries: whose job it is and which."""

    org_id: UUID
    job_id: UUID


encode_entry = msgspec.json.Encoder().encode
decode_entry = msgspec.json.Decoder(QueueEntry).decode


def enqueue_arguments(
    lane: Lane, priority: int, delay: timedelta, entries: list[bytes]
) -> list[Any]:
    """Return the arguments of `ENQUEUE`; lanes are what PgQueuer calls entrypoints."""
    count = len(entries)
    no_value = [None] * count
    return [
        [priority] * count,
        [lane.value] * count,
        entries,
        [delay] * count,
        no_value,
        no_value,
    ]


def dequeue(worker_id: UUID, lane: Lane, limit: int) -> tuple[str, tuple[object, ...]]:
    """Return the statement that claims up to `limit` due jobs of a lane, and its arguments."""
    query = _BUILDER.build_dequeue_query(
        batch_size=limit,
        entrypoints=[QueueEntrypoint(lane.value)],
        concurrency_limits=[0],
        queue_manager_id=QueueManagerId(worker_id),
        global_concurrency_limit=None,
        heartbeat_timeout=_NEVER,
    )
    return query.sql, query.args
