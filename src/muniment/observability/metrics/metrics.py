"""All metrics of one process."""

from __future__ import annotations

import platform
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from muniment import __version__
from muniment.observability.metrics.documents import ConversionMetrics, EmbeddingMetrics
from muniment.observability.metrics.event_loop import EventLoopMetrics
from muniment.observability.metrics.jobs import JobMetrics
from muniment.observability.metrics.outside import OutsideMetrics
from muniment.observability.metrics.pools import PoolMetrics
from muniment.observability.metrics.processes import ChildProcesses, ProcessMetrics
from muniment.observability.metrics.queue import QueueMetrics
from muniment.observability.metrics.requests import RequestMetrics
from muniment.observability.metrics.search import SearchMetrics
from muniment.observability.metrics.statements import StatementMetrics

ProcessRole = Literal["api", "worker", "embedding-worker"]

# The time of creation of each series would double the output and tells nothing here.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics that one process keeps, by subject, in registries of its own.

    Labels are route templates, names of statements, kinds of jobs and the like, so the number of
    series, and with it the memory, is bounded by the program.
    """

    def __init__(self, role: ProcessRole) -> None:
        """Make an empty set of metrics; `role` says what kind of process they are of."""
        self.role = role
        self.registry = registry = CollectorRegistry(auto_describe=False)
        """What is true of this process."""
        self.shared = CollectorRegistry(auto_describe=False)
        """What is true of the installation: the same whichever process is asked."""
        Gauge(
            "muniment_build_info",
            "The running version; always 1.",
            ["version", "role", "python"],
            registry=registry,
        ).labels(__version__, role, platform.python_version()).set(1)
        self.requests = RequestMetrics(registry)
        self.statements = StatementMetrics(registry)
        self.pools = PoolMetrics(registry)
        self.jobs = JobMetrics(registry)
        self.outside = OutsideMetrics(registry)
        self.children = ChildProcesses(registry)
        self.conversions = ConversionMetrics(registry)
        self.embedding = EmbeddingMetrics(registry)
        self.search = SearchMetrics(registry)
        self.event_loop = EventLoopMetrics(registry)
        ProcessMetrics(registry, self.children)
        GCCollector(registry)
        self.queue = QueueMetrics(self.shared)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return what this process knows and its media type, in a format that `accept` asks for."""
        encode, media_type = choose_encoder(accept)
        own, shared = encode(self.registry), encode(self.shared)
        return own.removesuffix(b"# EOF\n") + shared, media_type
