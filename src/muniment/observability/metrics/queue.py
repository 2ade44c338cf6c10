"""The queue of the whole installation: read now and then, so that a scrape never waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import asyncpg
import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from muniment.errors import MunimentError
from muniment.observability.metrics.bounded import Bounded

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

REFRESH_SECONDS = 10.0
MOST_TIME_SHARE = 0.02
"""Share of the time that reading may take."""
KEPT_SECONDS = 60.0
"""A reading that is older is not shown: no value is better than one that may be wrong."""

_STATES = ("waiting", "delayed", "running")

_log = structlog.get_logger(__name__)


class QueueState(Protocol):
    """The jobs of one kind in one lane (`QueueState` of the jobs)."""

    @property
    def lane(self) -> str: ...  # noqa: D102

    @property
    def kind(self) -> str | None: ...  # noqa: D102

    @property
    def waiting(self) -> int: ...  # noqa: D102

    @property
    def delayed(self) -> int: ...  # noqa: D102

    @property
    def running(self) -> int: ...  # noqa: D102

    @property
    def oldest_seconds(self) -> float | None: ...  # noqa: D102

    @property
    def paused(self) -> bool: ...  # noqa: D102


class QueueMetrics(Collector):
    """Shows the last reading of the queue."""

    def __init__(
        self, registry: CollectorRegistry, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._clock = clock
        self._states: Sequence[QueueState] = ()
        self._read_at = float("-inf")
        self._kind = Bounded()
        registry.register(self)

    def show(self, states: Sequence[QueueState]) -> None:
        """Show a reading, for as long as it is fresh."""
        self._states, self._read_at = states, self._clock()

    async def keep_fresh(
        self,
        read: Callable[[], Awaitable[Sequence[QueueState]]],
        *,
        every: float = REFRESH_SECONDS,
    ) -> None:
        """Read the queue again and again, until cancelled; a reading that fails is left out.

        It waits first: a process that has just started has other things to do. Counting a queue
        of a million jobs takes a moment; then it is counted less often.
        """
        took = 0.0
        while True:
            await asyncio.sleep(min(max(every, took / MOST_TIME_SHARE), KEPT_SECONDS / 2))
            began = self._clock()
            try:
                self.show(await read())
            except (MunimentError, asyncpg.PostgresError, OSError) as error:
                _log.warning("queue_not_measured", reason=type(error).__name__)
            took = self._clock() - began

    def collect(self) -> Iterator[Metric]:
        """Yield depth, age and pauses, without values when nothing fresh is known."""
        depth = GaugeMetricFamily(
            "muniment_queue_jobs",
            "Jobs of all organizations: waiting (due), delayed (due later), running.",
            labels=["lane", "kind", "state"],
        )
        oldest = GaugeMetricFamily(
            "muniment_queue_oldest_waiting_seconds",
            "How long the job has waited that waits longest; 0 when none does.",
            labels=["lane", "kind"],
        )
        paused = GaugeMetricFamily(
            "muniment_queue_lane_paused", "Whether a lane is paused (1).", labels=["lane"]
        )
        states = self._states if self._clock() - self._read_at <= KEPT_SECONDS else ()
        counts: dict[tuple[str, str], list[float]] = {}
        lanes: dict[str, bool] = {}
        for state in states:
            lane = str(state.lane)
            lanes[lane] = lanes.get(lane, False) or state.paused
            if state.kind is None:
                continue
            figures = counts.setdefault((lane, self._kind(state.kind)), [0, 0, 0, 0])
            for place, name in enumerate(_STATES):
                figures[place] += getattr(state, name)
            figures[3] = max(figures[3], state.oldest_seconds or 0.0)
        for (lane, kind), figures in counts.items():
            for name, value in zip(_STATES, figures, strict=False):
                depth.add_metric([lane, kind, name], value)
            oldest.add_metric([lane, kind], figures[3])
        for lane, is_paused in lanes.items():
            paused.add_metric([lane], float(is_paused))
        yield from (depth, oldest, paused)
