"""The worker: several lanes in one process, each attempt watched until its end is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from contextvars import copy_context
from enum import Enum
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

import msgspec
import structlog

from muniment.db import Database, Role, TenantScope, new_id
from muniment.errors import MunimentError
from muniment.jobs.claim import Claim, Claimer
from muniment.jobs.errors import (
    DeadlineExceeded,
    InvalidPayload,
    JobCancelled,
    JobLost,
    UnknownKind,
)
from muniment.jobs.lane_runner import LaneRunner
from muniment.jobs.observers import Ending, JobObserver
from muniment.jobs.outcome import (
    Finished,
    Ledger,
    Outcome,
    failed_attempt,
    released,
)
from muniment.jobs.presence import Presence
from muniment.jobs.progress import ProgressWriter
from muniment.jobs.running_job import RunningJob
from muniment.jobs.schedules.scheduler import ANNOUNCED, Scheduler
from muniment.jobs.take_over import TakeOver
from muniment.jobs.task import Backoff, Lane, Task, tasks_by_kind
from muniment.jobs.upkeep import Upkeep, keep_up

_log = structlog.get_logger(__name__)

_UNWIND_SECONDS = 5.0
"""How long a job that was told to stop may take to do so."""
_CANCEL_SECONDS = 1.5
"""How long one may take that somebody cancelled: they wait for it."""
_REMEMBERED_CANCELS = 1000


class _Stop(Enum):
    """Why a running job was told to stop."""

    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    LOST = "lost"
    SHUTDOWN = "shutdown"


class _Attempt:
    """A job that runs here."""

    __slots__ = ("claim", "job", "reason", "runner", "started", "task", "timer")

    def __init__(self, claim: Claim, job: RunningJob, runner: LaneRunner) -> None:
        self.claim = claim
        self.job = job
        self.runner = runner
        self.started = monotonic()
        self.reason: _Stop | None = None
        self.task: asyncio.Task[None]
        self.timer: asyncio.TimerHandle


class Worker:
    """Claims jobs, runs their handlers under the job's organization and records how they end."""

    def __init__(
        self,
        database: Database,
        tasks: Sequence[Task[Any]],
        resources: Mapping[type[Any], Any],
        lanes: Mapping[Lane, int],
        *,
        grace: float = 20.0,
        observers: Sequence[JobObserver] = (),
        upkeep: Sequence[Upkeep] = (),
    ) -> None:
        """Serve `lanes`, each with its number of concurrent jobs.

        `database` connects as `muniment_worker`. `resources` are what handlers ask for with
        `RunningJob.resource`. `grace` is how many seconds running jobs may take to finish when
        the worker is told to stop.
        """
        self.worker_id = new_id()
        self._database = database
        self._tasks = tasks_by_kind(tasks)
        self._resources = resources
        self._grace = grace
        self._observers = observers
        self._upkeep = upkeep
        self._attempts: dict[UUID, _Attempt] = {}
        # Jobs to be cancelled that have not begun here: their claim may be on its way.
        self._unmet_cancels: dict[UUID, None] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._ledger = Ledger(database, self.worker_id, on_written=self._wake)
        self._progress = ProgressWriter(database, self.worker_id)
        self._presence = Presence(
            database.dsn,
            self.worker_id,
            lanes=lanes,
            on_work=self._announce,
            on_cancel=self._cancel,
            on_connected=self._connected,
        )
        self._take_over = TakeOver(database, self.worker_id, self._presence)
        self._scheduler = Scheduler(database, self._tasks)
        claimer = Claimer(database, self.worker_id)
        self._lanes = {
            lane: LaneRunner(
                lane,
                concurrency,
                claim=claimer.claim,
                start=self._start,
                presence=self._presence,
                ledger=self._ledger,
            )
            for lane, concurrency in lanes.items()
        }

    async def run(self, stop: asyncio.Event, *, at_once: asyncio.Event | None = None) -> None:
        """Work until `stop` is set, then let running jobs finish and give back the rest.

        Jobs that are not done within the grace period, or when `at_once` is set, are
        cancelled and queued again without counting the attempt. Survives the loss of the
        database; returns when everything is recorded.
        """
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(self._presence.keep()),
                group.create_task(self._take_over.watch()),
                group.create_task(self._take_over.beat(self._held, self._forget, self._cancel)),
                group.create_task(self._scheduler.run()),
                group.create_task(keep_up(self._database, self._upkeep)),
                group.create_task(self._ledger.write_forever()),
                group.create_task(self._progress.write_forever()),
            ]
            lanes = [group.create_task(runner.run()) for runner in self._lanes.values()]
            try:
                await stop.wait()
                for runner in self._lanes.values():
                    runner.stop()
                await asyncio.wait(lanes, timeout=_UNWIND_SECONDS)
                await self._drain(at_once or asyncio.Event())
                await _at_most(self._ledger.settled(), 10.0)
            finally:
                for attempt in list(self._attempts.values()):
                    self._stop(attempt, _Stop.SHUTDOWN)
                for each in (*lanes, *background):
                    each.cancel()

    def load(self) -> dict[Lane, tuple[int, int]]:
        """Return how many jobs run in each lane, and how many may."""
        return {lane: (runner.running, runner.slots) for lane, runner in self._lanes.items()}

    def _announce(self, lane: str) -> None:
        if lane == ANNOUNCED:
            self._scheduler.look()
        for runner in self._lanes.values():
            if runner.lane.value == lane:
                runner.announce()

    def _wake(self) -> None:
        for runner in self._lanes.values():
            runner.wake()

    def _connected(self) -> None:
        for runner in self._lanes.values():
            runner.announce()
        self._take_over.hurry()
        self._scheduler.look()

    def _held(self) -> set[UUID]:
        return set(self._attempts)

    def _forget(self, job_ids: set[UUID]) -> None:
        for job_id in job_ids:
            attempt = self._attempts.get(job_id)
            if attempt is not None:
                self._stop(attempt, _Stop.LOST)

    def _cancel(self, job_id: UUID) -> None:
        attempt = self._attempts.get(job_id)
        if attempt is not None:
            self._stop(attempt, _Stop.CANCELLED)
            return
        self._unmet_cancels[job_id] = None
        if len(self._unmet_cancels) > _REMEMBERED_CANCELS:
            del self._unmet_cancels[next(iter(self._unmet_cancels))]

    def _start(self, claim: Claim) -> None:
        previous = self._attempts.get(claim.job_id)
        if previous is not None:
            # It was taken from us and came back before we had noticed.
            self._stop(previous, _Stop.LOST)
            self._leave(previous)
        # The job's organization is the scope of all that its handler does.
        scope = TenantScope(claim.org_id, claim.workspace_id, f"job:{claim.job_id}", Role.OWNER)
        job = RunningJob(
            claim,
            scope,
            self.worker_id,
            database=self._database,
            resources=self._resources,
            on_progress=self._progress.note,
        )
        attempt = _Attempt(claim, job, self._lanes[claim.lane])
        self._attempts[claim.job_id] = attempt
        self._idle.clear()
        loop = asyncio.get_running_loop()
        # How the attempt ended is logged in its own context, so that the line carries its ids.
        context = copy_context()
        attempt.task = loop.create_task(self._handle(attempt), context=context)
        attempt.timer = loop.call_later(
            claim.deadline.total_seconds(), self._stop, attempt, _Stop.DEADLINE
        )
        attempt.task.add_done_callback(partial(self._ended, attempt), context=context)
        if claim.job_id in self._unmet_cancels:
            del self._unmet_cancels[claim.job_id]
            self._stop(attempt, _Stop.CANCELLED)

    async def _handle(self, attempt: _Attempt) -> None:
        claim = attempt.claim
        task = self._tasks.get(claim.kind)
        if task is None:
            raise UnknownKind(f"This worker knows no jobs of the kind {claim.kind!r}.")
        try:
            payload = msgspec.convert(claim.payload, task.payload_type)
        except msgspec.ValidationError as error:
            raise InvalidPayload(f"The payload does not fit {claim.kind!r}: {error}") from error
        # Each attempt is an asyncio task, so what is bound here ends with it.
        structlog.contextvars.bind_contextvars(
            job_id=str(claim.job_id), org_id=str(claim.org_id), kind=claim.kind
        )
        with ExitStack() as stack:
            for observer in self._observers:
                stack.enter_context(observer.attempt(claim))
            await task.handler(attempt.job, payload)

    def _stop(self, attempt: _Attempt, reason: _Stop) -> None:
        if attempt.reason is not None or attempt.task.done():
            return
        attempt.reason = reason
        attempt.job.cancelled = True
        attempt.timer.cancel()
        patience = _CANCEL_SECONDS if reason is _Stop.CANCELLED else _UNWIND_SECONDS
        attempt.timer = asyncio.get_running_loop().call_later(patience, self._abandon, attempt)
        attempt.task.cancel()

    def _abandon(self, attempt: _Attempt) -> None:
        """Free the slot of a job that does not stop; it can commit nothing any more."""
        _log.error("job does not stop", job_id=str(attempt.claim.job_id), kind=attempt.claim.kind)
        if self._leave(attempt):
            self._record(attempt, None)

    def _ended(self, attempt: _Attempt, task: asyncio.Task[None]) -> None:
        attempt.timer.cancel()
        failure = None if task.cancelled() else task.exception()
        if self._leave(attempt):
            self._record(attempt, task)
        elif failure is not None:
            _log.warning("abandoned job ended", job_id=str(attempt.claim.job_id), exc_info=failure)

    def _leave(self, attempt: _Attempt) -> bool:
        """Take the attempt off the books; return whether it was still on them."""
        if self._attempts.get(attempt.claim.job_id) is not attempt:
            return False
        del self._attempts[attempt.claim.job_id]
        attempt.runner.ended(monotonic() - attempt.started)
        if not self._attempts:
            self._idle.set()
        return True

    def _record(self, attempt: _Attempt, task: asyncio.Task[None] | None) -> None:
        outcome = self._outcome(attempt, task)
        if outcome is not None:
            self._ledger.add(outcome)
        seconds = monotonic() - attempt.started
        error = None if outcome is None else outcome.error
        code = None if error is None else error["code"]
        for observer in self._observers:
            observer.ended(attempt.claim, _ending(outcome), seconds, code)

    def _outcome(self, attempt: _Attempt, task: asyncio.Task[None] | None) -> Outcome | None:
        claim, progress = attempt.claim, attempt.job.reported
        failure = task.exception() if task is not None and not task.cancelled() else None
        if task is not None and not task.cancelled() and failure is None:
            return Finished(claim, "succeeded", progress)
        if attempt.reason is _Stop.LOST or isinstance(failure, JobLost):
            return None
        if attempt.reason is _Stop.CANCELLED or isinstance(failure, JobCancelled):
            return Finished(claim, "cancelled", progress)
        if attempt.reason is _Stop.SHUTDOWN:
            return released(claim)
        if attempt.reason is _Stop.DEADLINE:
            failure = DeadlineExceeded(f"The job ran longer than {claim.deadline}.")
        known = self._tasks.get(claim.kind)
        return failed_attempt(
            claim,
            failure or MunimentError("The job cancelled itself."),
            known.backoff if known else Backoff(),
            progress,
        )

    async def _drain(self, at_once: asyncio.Event) -> None:
        idle = asyncio.create_task(self._idle.wait())
        hurry = asyncio.create_task(at_once.wait())
        try:
            await asyncio.wait(
                (idle, hurry), timeout=self._grace, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in list(self._attempts.values()):
                self._stop(attempt, _Stop.SHUTDOWN)
            await asyncio.wait((idle,), timeout=_UNWIND_SECONDS + 1)
        finally:
            idle.cancel()
            hurry.cancel()


def _ending(outcome: Outcome | None) -> Ending:
    if outcome is None:
        return "lost"
    if isinstance(outcome, Finished):
        return outcome.status
    return "retried" if outcome.counts else "released"


async def _at_most(waiting: Any, seconds: float) -> None:
    try:
        await asyncio.wait_for(waiting, seconds)
    except TimeoutError:
        _log.error("not everything was recorded; another worker will run those jobs again")
