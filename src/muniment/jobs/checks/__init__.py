"""What the doctor looks at in the queue."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from muniment.db import first_id_at, load_statements
from muniment.db.doctor import (
    DoctorCheck,
    Examination,
    Fault,
    Severity,
    doctor_check,
    plural,
)

if TYPE_CHECKING:
    import asyncpg

_statements = load_statements("muniment.jobs.checks")

OLDEST = {"fast": timedelta(minutes=2)}
"""By lane how long a job may wait for its turn."""
OLDEST_BY_THE_BATCH = timedelta(hours=1)
"""Of the other lanes: a large import keeps them busy for long."""
UNSERVED = timedelta(seconds=60)
"""A lane in which nothing runs while work has waited so long has no worker."""
SILENCE = timedelta(minutes=5)
"""Workers show every few seconds that they work on their jobs; take-over allows for less."""
OVERDUE = timedelta(minutes=5)
"""Beyond its deadline; the worker ends an attempt then."""
FAILED_SHARE, FAILED_LEAST = 0.2, 10
FAILED_WITHIN = timedelta(hours=1)
_SHOWN = 5


@doctor_check("jobs.queue_age", "No job waits long for its turn.", Severity.WARNING)
async def queue_age(examination: Examination) -> list[Fault]:
    """Look at the oldest due job of each lane that is not paused."""
    async with examination.database.operator() as work:
        rows = await _statements.lanes(work)
    faults = []
    for row in rows:
        lane, oldest = row["lane"], timedelta(seconds=row["oldest_seconds"] or 0)
        if row["paused"] or not row["running"] or oldest < OLDEST.get(lane, OLDEST_BY_THE_BATCH):
            continue
        concurrency = getattr(examination.settings, f"{lane}_concurrency", None)
        settings = (
            {f"MUNIMENT_{lane.upper()}_CONCURRENCY": str(concurrency * 2)} if concurrency else {}
        )
        faults.append(
            Fault(
                title=f"Jobs wait long in the lane {lane}.",
                evidence=f"{row['waiting']:,} wait, the oldest for {_told(oldest)}; "
                f"{row['running']:,} run.",
                remedy="Add a worker for the lane, or let each run more jobs at a time.",
                command=f"muniment worker --lane {lane}",
                settings=settings,
            )
        )
    return faults


@doctor_check("jobs.workers", "Every lane with work has a worker.", Severity.ERROR)
async def workers(examination: Examination) -> list[Fault]:
    """Find lanes in which work waits and nothing runs."""
    async with examination.database.operator() as work:
        rows = await _statements.lanes(work)
        alive = await _statements.live_workers(work)
    return [
        Fault(
            title=f"Nobody works on the lane {row['lane']}.",
            evidence=f"{row['waiting']:,} wait, the oldest for "
            f"{_told(timedelta(seconds=row['oldest_seconds']))}, and none runs; "
            f"{plural(alive, 'worker')} connected, of all lanes together.",
            remedy="Start a worker for the lane; if one runs, its log says what keeps it.",
            command=f"muniment worker --lane {row['lane']}",
        )
        for row in rows
        if not (row["paused"] or row["running"])
        and timedelta(seconds=row["oldest_seconds"] or 0) >= UNSERVED
    ]


@doctor_check("jobs.paused_lanes", "No lane is paused.", Severity.WARNING)
async def paused_lanes(examination: Examination) -> list[Fault]:
    """Find lanes that an operator has paused."""
    async with examination.database.operator() as work:
        rows = await _statements.paused_lanes(work)
    return [
        Fault(
            title=f"The lane {row['lane']} is paused.",
            evidence=f"{row['paused_by']} paused it at {row['paused_at']:%Y-%m-%d %H:%M} UTC; "
            "its jobs wait.",
            remedy="Resume it when the reason is gone.",
            command=f"muniment jobs resume {row['lane']}",
            sql=(
                f"DELETE FROM queue.paused_lanes WHERE lane = '{row['lane']}'",
                f"SELECT pg_notify('muniment_jobs', '{row['lane']}')",
            ),
        )
        for row in rows
    ]


@doctor_check("jobs.stuck", "No job is stuck.", Severity.ERROR)
async def stuck(examination: Examination) -> list[Fault]:
    """Find jobs that run without a sign of life or beyond their deadline, or that nobody queues."""
    async with examination.database.operator() as work:
        silent = await _statements.silent_jobs(work, silence=SILENCE)
        overdue = await _statements.overdue_jobs(work, overdue=OVERDUE)
        lost = await _statements.lost_jobs(work, age=SILENCE)
    seconds = round(SILENCE.total_seconds())
    faults = []
    if silent:
        faults.append(
            Fault(
                title="Jobs run without a sign of life.",
                evidence=f"No heartbeat for {_told(SILENCE)} of {_jobs(silent)}.",
                remedy="Any worker takes them over when it starts; or let them be queued again.",
                sql=(f"SELECT take_over_jobs('{{}}', interval '{seconds} s')",),
            )
        )
    if overdue:
        workers_of = ", ".join(sorted({str(row["worker_id"]) for row in overdue}))
        faults.append(
            Fault(
                title="Jobs run beyond their deadline.",
                evidence=f"They should have been ended by their worker ({workers_of}): "
                f"{_jobs(overdue)}.",
                remedy="Restart that worker with a signal it cannot catch; the jobs are then "
                "taken over.",
            )
        )
    if lost:
        faults.append(
            Fault(
                title="Jobs are open that are not in the queue.",
                evidence=f"They will never start or end: {_jobs(lost)}.",
                remedy="End them, and enqueue the work again.",
                sql=tuple(_end(row["org_id"], row["job_id"]) for row in lost),
            )
        )
    return faults


def _end(org_id: object, job_id: object) -> str:
    error = (
        '{"code": "job_lost", "detail": "The job was not in the queue any more; '
        'the operator ended it."}'
    )
    return (
        f"UPDATE jobs SET status = 'failed', finished_at = now(), error = '{error}'"
        f" WHERE org_id = '{org_id}' AND job_id = '{job_id}' AND finished_at IS NULL"
    )


@doctor_check("jobs.failures", "Few jobs fail.", Severity.WARNING)
async def failures(examination: Examination) -> list[Fault]:
    """Look at the jobs of each kind that were enqueued in the last hour and have ended."""
    since = first_id_at(examination.now() - FAILED_WITHIN)
    async with examination.database.operator() as work:
        rows = await _statements.recent_endings(work, since=since)
    by_kind: dict[str, dict[str, int]] = defaultdict(dict)
    codes: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        counts = by_kind[row["kind"]]
        counts[row["ended_as"]] = counts.get(row["ended_as"], 0) + row["jobs"]
        if row["code"] is not None:
            codes[row["kind"]][row["code"]] = row["jobs"]
    faults = []
    for kind, counts in sorted(by_kind.items()):
        failed, ended = counts.get("failed", 0), sum(counts.values())
        if failed < FAILED_LEAST or failed < FAILED_SHARE * ended:
            continue
        why = sorted(codes[kind].items(), key=lambda item: -item[1])[:_SHOWN]
        reasons = ", ".join(f"{code} {count}" for code, count in why)
        faults.append(
            Fault(
                title=f"Many jobs of the kind {kind} fail.",
                evidence=f"{failed:,} of {ended:,} in the last hour; by reason: {reasons}.",
                remedy="Mend what the reasons say, then retry the failed jobs.",
                command="muniment jobs list --status failed",
            )
        )
    return faults


def _jobs(rows: list[asyncpg.Record]) -> str:
    shown = ", ".join(f"{row['job_id']} ({row['kind']})" for row in rows[:_SHOWN])
    more = len(rows) - _SHOWN
    return f"{shown} and {plural(more, 'other')}" if more > 0 else shown


def _told(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return plural(minutes, "minute") if minutes < 120 else plural(minutes // 60, "hour")


checks: list[DoctorCheck] = [queue_age, workers, paused_lanes, stuck, failures]
