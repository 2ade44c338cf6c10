"""How attempts end, and the ledger that writes the ends of many in one transaction."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

import asyncpg
import structlog

from muniment.db import Database, UnitOfWork, load_statements
from muniment.errors import MunimentError, ServiceUnavailable
from muniment.jobs.claim import Claim
from muniment.jobs.errors import PermanentFailure
from muniment.jobs.running_job import Progress
from muniment.jobs.task import Backoff

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.jobs")

DATABASE_TROUBLE = (
    ServiceUnavailable,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # How asyncpg reports some operations that a dying connection cut short.
    asyncpg.InternalClientError,
    OSError,
)
"""What a worker outlives by trying again: a lost connection, a restarting or busy server."""

_BATCH = 500
_ROOM = 2000
_DETAIL_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Finished:
    """The job has ended."""

    claim: Claim
    status: Literal["succeeded", "failed", "cancelled"]
    progress: Progress
    error: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Requeued:
    """The job starts again, after a delay or, when the worker shuts down, elsewhere."""

    claim: Claim
    error: dict[str, str] | None = None
    delay: timedelta = timedelta(0)
    counts: bool = True
    """False when the attempt was not the job's fault."""


Outcome = Finished | Requeued


def released(claim: Claim) -> Requeued:
    """Return the outcome of a job that its worker gives back without blaming it."""
    return Requeued(claim, counts=False)


def failed_attempt(
    claim: Claim, failure: BaseException, backoff: Backoff, progress: Progress
) -> Outcome:
    """Decide what becomes of a job whose attempt failed: tried again, or failed for good."""
    failure = _sole(failure)
    error = _describe(failure)
    last = isinstance(failure, PermanentFailure) or claim.attempt >= claim.max_attempts
    _log.warning(
        "job failed" if last else "attempt failed",
        job_id=str(claim.job_id),
        org_id=str(claim.org_id),
        kind=claim.kind,
        attempt=claim.attempt,
        code=error["code"],
        # What we raise ourselves says it in a sentence; the rest needs its traceback.
        exc_info=None if isinstance(failure, MunimentError) else failure,
    )
    if last:
        return Finished(claim, "failed", progress, error)
    return Requeued(claim, error, backoff.delay(claim.attempt))


def _sole(failure: BaseException) -> BaseException:
    """Return what a task group was ended by, if that is one failure and not several."""
    while isinstance(failure, BaseExceptionGroup) and len(failure.exceptions) == 1:
        failure = failure.exceptions[0]
    return failure


def _describe(failure: BaseException) -> dict[str, str]:
    if isinstance(failure, MunimentError):
        code, detail = failure.code, failure.detail
    else:
        # What Postgres adds to its message, such as DETAIL, quotes rows.
        message = failure.message if isinstance(failure, asyncpg.PostgresError) else failure
        code, detail = "unexpected_error", f"{type(failure).__name__}: {message}"
    return {"code": code, "detail": storable(detail)[:_DETAIL_LENGTH]}


def storable(text: str) -> str:
    """Return the text without what Postgres cannot hold: NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


class Ledger:
    """Collects outcomes and writes what has come together, one transaction at a time.

    While one batch is being written the next one gathers, so batches grow with the load and
    an outcome that comes alone is written at once.
    """

    def __init__(
        self, database: Database, worker_id: UUID, *, on_written: Callable[[], None]
    ) -> None:
        """Call `on_written` after each batch: there may be room again."""
        self._database = database
        self._worker_id = worker_id
        self._on_written = on_written
        self._pending: deque[Outcome] = deque()
        self._writing = 0
        self._work = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def has_room(self) -> bool:
        """False when outcomes come faster than they can be written."""
        return len(self._pending) < _ROOM

    def add(self, outcome: Outcome) -> None:
        """Take an outcome to be written."""
        self._pending.append(outcome)
        self._settled.clear()
        self._work.set()

    async def settled(self) -> None:
        """Wait until every outcome is written."""
        await self._settled.wait()

    async def write_forever(self) -> None:
        """Write outcomes as they come; outlives trouble with the database."""
        pause = 0.1
        while True:
            await self._work.wait()
            batch = [self._pending.popleft() for _ in range(min(_BATCH, len(self._pending)))]
            try:
                await self._write(batch)
            except DATABASE_TROUBLE as error:
                _log.warning("outcomes not written yet", jobs=len(batch), error=str(error))
                self._pending.extendleft(reversed(batch))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
                continue
            pause = 0.1
            self._on_written()
            if not self._pending:
                self._work.clear()
                self._settled.set()

    async def _write(self, batch: list[Outcome]) -> None:
        finished = [outcome for outcome in batch if isinstance(outcome, Finished)]
        requeued = [outcome for outcome in batch if isinstance(outcome, Requeued)]
        written: set[UUID] = set()
        async with self._database.system() as uow:
            if finished:
                written.update(await self._finish(uow, finished))
            if requeued:
                written.update(await self._requeue(uow, requeued))
        for outcome in batch:
            if outcome.claim.job_id not in written:
                _log.warning("job was lost", job_id=str(outcome.claim.job_id))

    async def _finish(self, uow: UnitOfWork, finished: list[Finished]) -> list[UUID]:
        rows = await _statements.finish_jobs(
            uow,
            worker_id=self._worker_id,
            org_ids=[each.claim.org_id for each in finished],
            job_ids=[each.claim.job_id for each in finished],
            statuses=[each.status for each in finished],
            errors=[each.error for each in finished],
            done=[each.progress.done for each in finished],
            totals=[each.progress.total for each in finished],
            units=[each.progress.unit for each in finished],
            rates=[each.progress.rate for each in finished],
        )
        return [row["job_id"] for row in rows]

    async def _requeue(self, uow: UnitOfWork, requeued: list[Requeued]) -> list[UUID]:
        rows = await _statements.requeue_jobs(
            uow,
            worker_id=self._worker_id,
            org_ids=[each.claim.org_id for each in requeued],
            job_ids=[each.claim.job_id for each in requeued],
            errors=[each.error for each in requeued],
            delays=[each.delay for each in requeued],
            refunds=[0 if each.counts else 1 for each in requeued],
        )
        return [row["job_id"] for row in rows]
