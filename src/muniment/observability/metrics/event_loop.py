"""How late an event loop is: what every request and job of the process waits in addition."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import Histogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
LOOK_SECONDS = 0.5


class EventLoopMetrics:
    """Measures how much later than asked a timer of the event loop fires."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = Histogram(
            "muniment_event_loop_lag_seconds",
            "How much later than it was due the event loop came to a timer.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )

    async def measure(self, every: float = LOOK_SECONDS) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + every
            await asyncio.sleep(every)
            self._lag.observe(max(loop.time() - due, 0.0))
