"""Attempts at jobs: what is measured of them and of the statements that they run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from muniment.db import observe_statements
from muniment.db.statements import observed
from muniment.errors import ServiceUnavailable
from muniment.observability.job_watch import JobWatch
from muniment.observability.metrics import Metrics
from muniment.observability.request_record import StatementLimits, current_work
from muniment.observability.statement_watch import StatementWatch
from tests.observability.test_metrics import Claim, samples
from tests.waiting import until

CONVERT = Claim("documents.convert", "convert", timedelta(seconds=2))


def test_attempts_are_counted_by_kind_lane_and_outcome() -> None:
    metrics = Metrics("worker")
    watch = JobWatch(metrics)
    watch.ended(CONVERT, "succeeded", 3.0, None)
    watch.ended(CONVERT, "retried", 3.0, "conversion_unavailable")
    watch.ended(CONVERT, "failed", 3.0, "conversion_timeout")
    watch.ended(CONVERT, "cancelled", 3.0, "job_cancelled")
    found = samples(metrics)
    place = "documents.convert convert"
    assert found[f"muniment_job_duration_seconds_sum {place}"] == 12
    assert found[f"muniment_job_wait_seconds_sum {place}"] == 8
    for outcome in ("succeeded", "retried", "failed", "cancelled"):
        assert found[f"muniment_job_attempts_total {place} {outcome}"] == 1
    failures = {name for name in found if name.startswith("muniment_job_failures_total")}
    assert failures == {
        "muniment_job_failures_total conversion_unavailable documents.convert",
        "muniment_job_failures_total conversion_timeout documents.convert",
    }


async def test_statements_of_each_attempt_are_counted_apart() -> None:
    metrics = Metrics("worker")
    watch = JobWatch(metrics, StatementLimits(most=100, repeated=20))

    async def attempt(kind: str, statements: int) -> None:
        with watch.attempt(Claim(kind, "fast", timedelta())):
            for _ in range(statements):
                with observed("jobs.list_jobs"):
                    await asyncio.sleep(0)

    with StatementWatch(metrics).watching(), capture_logs() as log:
        await asyncio.gather(attempt("few", 3), attempt("often", 20))
    assert current_work.get() is None
    found = samples(metrics)
    assert found["muniment_job_statements_sum few"] == 3
    assert found["muniment_job_statements_sum often"] == 20
    assert found["muniment_jobs_with_excessive_statements_total repeated often"] == 1
    assert [(line["event"], line["kind"]) for line in log] == [("too_many_statements", "often")]


def test_an_error_passes_through_and_is_counted() -> None:
    metrics = Metrics("worker")
    with pytest.raises(LookupError), JobWatch(metrics).attempt(CONVERT):
        raise LookupError
    assert samples(metrics)["muniment_job_statements_count documents.convert"] == 1


def test_load_is_read_when_it_is_asked_for() -> None:
    metrics = Metrics("worker")
    running = [0]
    metrics.jobs.watch(lambda: {"fast": (running[0], 8)})
    running[0] = 3
    found = samples(metrics)
    assert found["muniment_worker_jobs_running fast"] == 3
    assert found["muniment_worker_slots fast"] == 8


@dataclass
class State:
    """A state of the queue."""

    lane: str
    kind: str
    waiting: int
    delayed: int = 0
    running: int = 0
    oldest_seconds: float | None = None
    paused: bool = False


async def test_the_queue_is_shown_while_its_reading_is_fresh() -> None:
    metrics = Metrics("api")
    now = [100.0]
    metrics.queue._clock = lambda: now[0]
    metrics.queue.show([State("fast", "a", 3, 2, 1, 7.5), State("convert", "b", 0, paused=True)])
    found = samples(metrics)
    states = {name.rpartition(" ")[2]: found[name] for name in found if " a fast " in name}
    assert states == {"waiting": 3, "delayed": 2, "running": 1}
    assert found["muniment_queue_oldest_waiting_seconds a fast"] == 7.5
    assert found["muniment_queue_oldest_waiting_seconds b convert"] == 0
    assert found["muniment_queue_lane_paused fast"] == 0
    assert found["muniment_queue_lane_paused convert"] == 1
    now[0] += 61
    assert not [name for name in samples(metrics) if name.startswith("muniment_queue")]


async def test_the_queue_is_read_again_after_a_failure() -> None:
    metrics = Metrics("api")
    answers: list[Any] = [ServiceUnavailable("away"), [State("fast", "a", 3)]]

    async def read() -> Sequence[State]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        found: Sequence[State] = answer
        return found

    with capture_logs() as log:
        reading = asyncio.create_task(metrics.queue.keep_fresh(read, every=0.001))
        await until(lambda: "muniment_queue_lane_paused fast" in samples(metrics))
        reading.cancel()
    assert [line["event"] for line in log] == ["queue_not_measured"]


def test_nothing_is_watched_by_the_watch_of_jobs_alone() -> None:
    """It counts what a `StatementWatch` sees, and adds no observer of its own."""
    seen: list[str] = []
    with (
        observe_statements(lambda name, _seconds, _error: seen.append(name)),
        JobWatch(Metrics("worker")).attempt(CONVERT),
        observed("jobs.list_jobs"),
    ):
        pass
    assert seen == ["jobs.list_jobs"]
