"""Conversion of files and embedding of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from muniment.observability.metrics.bounded import Bounded

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

CONVERSION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)
EMBEDDING_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)


class ConversionMetrics:
    """Counts files (implements `ConversionObserver` of the documents)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = Histogram(
            "muniment_conversion_duration_seconds",
            "Time that a conversion process needed for a file that it survived.",
            buckets=CONVERSION_BUCKETS,
            registry=registry,
        )
        self._files = Counter(
            "muniment_conversion_files",
            "Files that were converted (ok), by what they are, or could not be, by the code of "
            "the reason.",
            ["type", "outcome"],
            registry=registry,
        )
        self._type, self._outcome = Bounded(60), Bounded(40)

    def file_ended(self, media_type: str, outcome: str, seconds: float | None) -> None:
        """Record a file."""
        if seconds is not None:
            self._durations.observe(seconds)
        self._files.labels(self._type(media_type), self._outcome(outcome)).inc()


class EmbeddingMetrics:
    """Counts embedded texts (implements `EmbeddingObserver` of the documents).

    Called from the threads that embed.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = Histogram(
            "muniment_embedding_duration_seconds",
            "Time to embed a query, or a list of passages, without waiting for its turn.",
            ["what"],
            buckets=EMBEDDING_BUCKETS,
            registry=registry,
        )
        self._passages = Counter(
            "muniment_embedding_passages", "Passages that were embedded.", registry=registry
        )
        self._lists = Histogram(
            "muniment_embedding_list_passages",
            "Passages of one list that was embedded.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self._waiting = Gauge(
            "muniment_embedding_waiting",
            "Lists of passages, or queries, that are embedded or wait for their turn.",
            ["what"],
            registry=registry,
        )
        self._query_hits = Counter(
            "muniment_embedding_queries_known",
            "Queries whose vector was kept from the last time.",
            registry=registry,
        )

    def began(self, what: str) -> None:
        """Count work that waits for its turn."""
        self._waiting.labels(what).inc()

    def ended(self, what: str) -> None:
        """Count it no more, whether it was done or not."""
        self._waiting.labels(what).dec()

    def embedded(self, what: str, texts: int, seconds: float) -> None:
        """Record that texts have got their vectors."""
        self._durations.labels(what).observe(seconds)
        if what == "passages":
            self._passages.inc(texts)
            self._lists.observe(texts)

    def query_known(self) -> None:
        """Count a query that need not be embedded."""
        self._query_hits.inc()
