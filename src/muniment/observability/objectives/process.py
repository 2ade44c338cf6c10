"""What a process needs to count against objectives: made when it starts, run while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from muniment.db import Database
from muniment.objective_settings import Objective
from muniment.observability.objectives.collector import ObjectiveCollector, WriterCollector
from muniment.observability.objectives.recorder import JobObjectives, Recorder
from muniment.observability.objectives.writer import ObjectiveWriter

if TYPE_CHECKING:
    from muniment.observability.metrics import Metrics


class ApiObjectives:
    """Counts the requests of a process of the API, and tells all objectives as metrics."""

    def __init__(self, objectives: Mapping[str, Objective], metrics: Metrics) -> None:
        """Register the metrics; nothing touches a database before `running`."""
        self.recorder = Recorder(objectives)
        self._objectives = objectives
        self._read = ObjectiveCollector(objectives)
        self._written = WriterCollector()
        metrics.shared.register(self._read)
        metrics.registry.register(self._written)

    @asynccontextmanager
    async def running(self, database: Database) -> AsyncIterator[None]:
        """Write what is counted and read how far objectives are kept, while the context is open."""
        writer = ObjectiveWriter(database, self.recorder, self._objectives)
        self._written.watch(writer)
        async with writer.running(), self._read.running(database):
            yield


@asynccontextmanager
async def counted_jobs(
    database: Database, objectives: Mapping[str, Objective], metrics: Metrics
) -> AsyncIterator[JobObjectives]:
    """Yield an observer of jobs, whose counts are written while the context is open."""
    recorder, written = Recorder(objectives), WriterCollector()
    writer = ObjectiveWriter(database, recorder, objectives)
    written.watch(writer)
    metrics.registry.register(written)
    async with writer.running():
        yield JobObjectives(recorder)
