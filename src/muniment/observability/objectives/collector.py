"""The objectives as metrics: read from the database now and then, never by a scrape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from muniment.db import Database
from muniment.objective_settings import Objective
from muniment.observability.objectives.report import report
from muniment.observability.objectives.schemas import ObjectiveReport
from muniment.observability.objectives.writer import AWAY, ObjectiveWriter

if TYPE_CHECKING:
    from prometheus_client import Metric

REFRESH_SECONDS = 60.0
FIRST_SECONDS = 10.0
"""A process that starts has better to do at first."""

_log = structlog.get_logger()

_BY_OBJECTIVE = {
    "attainment_ratio": "Share of requests or jobs in the objective's window that kept it.",
    "target_ratio": "Share that is promised.",
    "error_budget_remaining_ratio": "Share of the error budget left; below 0 when overspent.",
}


class ObjectiveCollector(Collector):
    """Tells what was last read of the objectives, which are of the whole installation.

    Every process of the API tells the same.
    """

    def __init__(self, objectives: Mapping[str, Objective]) -> None:
        """Tell of these objectives; until they were read there are no values."""
        self._objectives = objectives
        self._latest: Sequence[ObjectiveReport] = ()
        self._read_at: float | None = None

    @asynccontextmanager
    async def running(
        self, database: Database, *, every: float = REFRESH_SECONDS
    ) -> AsyncIterator[None]:
        """Read the objectives soon and then every minute while the context is open."""
        stop = asyncio.Event()
        reading = asyncio.create_task(self._read(database, stop, every))
        try:
            yield
        finally:
            stop.set()
            await reading

    async def refresh(self, database: Database) -> None:
        """Read the objectives anew.

        Raises:
            PoolExhausted, DatabaseUnavailable: what was read before stays.
        """
        async with database.single_statement() as work:
            self._latest = await report(work, self._objectives)
        self._read_at = time.time()

    def collect(self) -> Iterator[Metric]:
        """Yield every family, without values before the first reading."""
        gauges = {
            name: GaugeMetricFamily(f"muniment_objective_{name}", text, labels=["objective"])
            for name, text in _BY_OBJECTIVE.items()
        }
        rate = GaugeMetricFamily(
            "muniment_objective_burn_rate",
            "How fast the error budget is spent; at 1 it lasts exactly for the window.",
            labels=["objective", "window"],
        )
        bad = GaugeMetricFamily(
            "muniment_objective_bad",
            "Requests or jobs that missed the objective.",
            labels=["objective", "window"],
        )
        for each in self._latest:
            values = (each.attainment, each.share, each.budget.remaining)
            for gauge, value in zip(gauges.values(), values, strict=True):
                if value is not None:
                    gauge.add_metric([each.name], value)
            bad.add_metric([each.name, f"{each.days}d"], each.total - each.good)
            for burn in each.burn:
                rate.add_metric([each.name, burn.window], burn.rate or 0.0)
                if burn.window != f"{each.days}d":
                    bad.add_metric([each.name, burn.window], burn.bad)
        read_at = GaugeMetricFamily(
            "muniment_objective_read_timestamp_seconds",
            "When the objectives were last read, in Unix time; 0 before the first time.",
            value=self._read_at or 0.0,
        )
        yield from (*gauges.values(), rate, bad, read_at)

    async def _read(self, database: Database, stop: asyncio.Event, every: float) -> None:
        pause = min(every, FIRST_SECONDS)
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            if stop.is_set():
                return
            pause = every
            try:
                await self.refresh(database)
            except AWAY as error:
                _log.warning("objectives_not_read", reason=type(error).__name__)


class WriterCollector(Collector):
    """Tells how the counts of this process get to the database."""

    def __init__(self) -> None:
        """Tell zeros until a writer is watched."""
        self._writer: ObjectiveWriter | None = None

    def watch(self, writer: ObjectiveWriter) -> None:
        """Tell of a writer from now on."""
        self._writer = writer

    def collect(self) -> Iterator[Metric]:
        """Yield both families."""
        writer = self._writer
        yield GaugeMetricFamily(
            "muniment_objective_unwritten_batches",
            "Minutes of counts that wait for the database.",
            value=0 if writer is None else writer.waiting,
        )
        yield CounterMetricFamily(
            "muniment_objective_lost",
            "Counts given up because the database was away for too long.",
            value=0 if writer is None else writer.lost,
        )
