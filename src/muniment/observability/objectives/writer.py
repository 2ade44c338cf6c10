"""What a process has counted goes to the database every few seconds, once, and is kept small."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import asyncpg
import structlog

from muniment.db import Database, load_statements, new_id
from muniment.errors import MunimentError
from muniment.objective_settings import Objective
from muniment.observability.objectives.recorder import (
    FAILED,
    FIRST_STEP,
    GOOD,
    TOTAL,
    Counts,
    Recorder,
)

FLUSH_SECONDS = 15.0
"""So much of what was counted is lost at most when a process is killed."""
MOST_BATCHES = 1440
"""Minutes for which counts wait for a database that is away; then the oldest are given up."""
TIDY_SECONDS = 3600.0
"""How often a process rolls up and prunes, beside the others."""
ROLLED_UP_ROWS = 2000
"""Minutes that one statement rolls up; it takes some tens of milliseconds."""
LAST_WORDS_SECONDS = 5.0
"""How long an ending process tries to write what it has counted."""
AWAY = (MunimentError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError, OSError)
"""What a database that cannot be used raises."""

_LONGEST_TIDYING = 50

_log = structlog.get_logger()
statements = load_statements("muniment.observability.objectives")


@dataclass(slots=True)
class _Batch:
    """Counts of about a minute; once it was sent, nothing is added to it."""

    number: int
    began: float
    counts: dict[str, Counts]
    sent: bool = False


class ObjectiveWriter:
    """Writes what a recorder has counted, with one statement where anything was, none else.

    A batch that fails to be written is sent again as it is, under its number, and the statement
    refuses a number that it knows: an answer that got lost does not count twice.
    """

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        objectives: Mapping[str, Objective],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write to `database`; `clock` returns seconds that never go back."""
        self._database = database
        self._recorder = recorder
        self._days = max((objective.days for objective in objectives.values()), default=0)
        self._clock = clock
        self._writer_id = new_id()
        self._numbered = 0
        self._waiting: deque[_Batch] = deque()
        self._tidied_at = float("-inf")
        self.lost = 0
        """Requests and jobs whose counts were given up."""

    @property
    def waiting(self) -> int:
        """Batches that are not written yet."""
        return len(self._waiting)

    @asynccontextmanager
    async def running(self, *, every: float = FLUSH_SECONDS) -> AsyncIterator[ObjectiveWriter]:
        """Write every few seconds, and once more when the context ends."""
        stop = asyncio.Event()
        writing = asyncio.create_task(self._write(stop, every))
        try:
            yield self
        finally:
            stop.set()
            await writing

    async def flush(self) -> None:
        """Write what was counted, a minute at a time.

        Raises:
            PoolExhausted, DatabaseUnavailable: it is kept and written later.
        """
        self._gather()
        while self._waiting:
            batch = self._waiting[0]
            batch.sent = True
            await self._add(batch)
            self._waiting.popleft()

    async def tidy(self) -> None:
        """Roll up what is old and forget what no window reaches, some thousand rows at a time.

        Raises:
            PoolExhausted, DatabaseUnavailable: the rest waits for the next time.
        """
        async with self._database.single_statement() as work:
            for _ in range(_LONGEST_TIDYING):
                gone = await statements.prune_objective_counts(
                    work, days=self._days, limit=ROLLED_UP_ROWS
                )
                rolled = await statements.roll_up_objective_counts(work, limit=ROLLED_UP_ROWS)
                if max(gone, rolled) < ROLLED_UP_ROWS:
                    return

    def _gather(self) -> None:
        taken = self._recorder.take()
        if not taken:
            return
        now = self._clock()
        last = self._waiting[-1] if self._waiting else None
        if last is not None and not last.sent and now - last.began < 60:
            for series, counts in taken.items():
                known = last.counts.get(series)
                last.counts[series] = (
                    counts
                    if known is None
                    else [one + other for one, other in zip(known, counts, strict=True)]
                )
            return
        self._numbered += 1
        self._waiting.append(_Batch(self._numbered, now, taken))
        if len(self._waiting) > MOST_BATCHES:
            given_up = self._waiting.popleft()
            self.lost += sum(counts[TOTAL] for counts in given_up.counts.values())

    async def _add(self, batch: _Batch) -> None:
        series = sorted(batch.counts)
        rows = [batch.counts[name] for name in series]
        async with self._database.single_statement() as work:
            await statements.add_objective_counts(
                work,
                writer_id=self._writer_id,
                batch=batch.number,
                age=max(0.0, self._clock() - batch.began),
                series=series,
                totals=[row[TOTAL] for row in rows],
                good=[row[GOOD] for row in rows],
                failed=[row[FAILED] for row in rows],
                counts=[count for row in rows for count in row[FIRST_STEP:]],
            )

    async def _write(self, stop: asyncio.Event, every: float) -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every)
            if stop.is_set():
                break
            with _forgiving():
                await self.flush()
            if self._clock() - self._tidied_at >= TIDY_SECONDS:
                self._tidied_at = self._clock()
                with _forgiving():
                    await self.tidy()
        with _forgiving():
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self.flush()


@contextmanager
def _forgiving() -> Iterator[None]:
    """Let a database that is away cost no more than a line in the log."""
    try:
        yield
    except AWAY as error:
        _log.warning("objectives_not_written", reason=type(error).__name__)
