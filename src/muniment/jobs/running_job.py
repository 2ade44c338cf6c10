"""What a handler is given: its job, its organization's transactions, and ways to report."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from math import exp
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from muniment.db import Database, TenantScope, UnitOfWork, load_statements
from muniment.jobs.claim import Claim
from muniment.jobs.enqueue import JobId
from muniment.jobs.errors import JobCancelled, JobLost

_statements = load_statements("muniment.jobs")
_LARGEST = 2**63 - 1

Resource = TypeVar("Resource")


_MEMORY_SECONDS = 15.0
"""How far back the rate of progress looks: what is older weighs little (exponentially)."""


class Progress(msgspec.Struct, frozen=True):
    """How far a job has come: `done` of `total` in `unit`; no total when it is not known."""

    done: int = 0
    total: int | None = None
    unit: str | None = None
    rate: float | None = None
    """Units per second, lately."""


class _Pace:
    """The rate at which a figure grows, as an exponentially weighted moving average."""

    def __init__(self) -> None:
        self._at = monotonic()
        self._done = 0
        self._rate: float | None = None

    def at(self, done: int) -> float | None:
        """Return the rate per second now that so much is done."""
        now = monotonic()
        seconds = now - self._at
        # Reports in quick succession would be noise; a fall is another figure that begins.
        if seconds >= 0.05 or done < self._done:
            recent = max(0, done - self._done) / max(seconds, 0.001)
            weight = 1 - exp(-seconds / _MEMORY_SECONDS)
            before = recent if self._rate is None else self._rate
            self._rate = before + weight * (recent - before)
            self._at, self._done = now, done
        return self._rate


class RunningJob:
    """One attempt of a job, as its handler sees it."""

    def __init__(
        self,
        claim: Claim,
        scope: TenantScope,
        worker_id: UUID,
        *,
        database: Database,
        resources: Mapping[type[Any], Any],
        on_progress: Callable[[RunningJob], None],
    ) -> None:
        self.job_id = JobId(claim.job_id)
        self.kind = claim.kind
        self.attempt = claim.attempt
        """1 for the first."""
        self.group_id = claim.group_id
        """The source that the job is about, if any; what it enqueues belongs there too."""
        self.scope = scope
        """The job's organization; mints nothing, it is the scope of `unit_of_work`."""
        self.reported = Progress()
        """What `progress` was told last."""
        self.cancelled = False
        """True once the job is to stop: somebody cancelled it, its deadline has passed, it was
        taken over, or the worker shuts down. Code in threads and processes looks here;
        awaiting code is cancelled."""
        self._started_at = claim.started_at
        self._pace = _Pace()
        self._worker_id = worker_id
        self._database = database
        self._resources = resources
        self._on_progress = on_progress

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[UnitOfWork]:
        """Run the body as one transaction of the job's organization.

        It commits only if this worker still has the job, so a worker that was taken for dead
        and comes back cannot do the work a second time.

        Raises:
            JobLost: the job was given to another worker; the transaction is rolled back.
            JobCancelled: somebody cancelled the job; the same.
        """
        async with self._database.unit_of_work(self.scope) as uow:
            yield uow
            cancelled = await _statements.hold_job(
                uow,
                org_id=self.scope.org_id,
                job_id=self.job_id,
                worker_id=self._worker_id,
                started_at=self._started_at,
            )
            if cancelled is None:
                raise JobLost
            if cancelled:
                raise JobCancelled

    def resource(self, kind: type[Resource]) -> Resource:
        """Return the object of this type that the worker was given.

        Raises:
            LookupError: the worker was given none.
        """
        try:
            found: Resource = self._resources[kind]
        except KeyError:
            raise LookupError(f"the worker has no resource of type {kind.__name__}") from None
        return found

    async def progress(self, done: int, total: int | None = None, unit: str = "files") -> None:
        """Report how far the job has come; written within half a second, in batches.

        Raises:
            ValueError: a number is negative or does not fit 63 bits.
        """
        if not 0 <= done <= _LARGEST or not (total is None or 0 <= total <= _LARGEST):
            raise ValueError(f"progress of {done} of {total} is out of range")
        self.reported = Progress(done, total, unit, self._pace.at(done))
        self._on_progress(self)
