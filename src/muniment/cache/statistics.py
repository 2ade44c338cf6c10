"""What the cache counts: a fixed number of figures for each namespace."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class NamespaceStatistics:
    """Counts of one namespace since the process began."""

    memory_hits: int = 0
    """Answered from this process's memory."""
    shared_hits: int = 0
    """Answered from Redis."""
    misses: int = 0
    """Had to be loaded."""
    bypasses: int = 0
    """Loaded past the cache, because invalidations could not be heard; no hit, no miss."""
    joined: int = 0
    """Of the misses, those that waited for a load that somebody else had begun."""
    failures: int = 0
    """Loads that raised."""
    load_seconds: float = 0.0
    """Time spent in loads."""
    entries: int = 0
    """Values in this process's memory now."""
    bytes: int = 0
    """Their size in memory now, by their encoded length and an allowance for each."""
    evictions: int = 0
    """Values that had to give way to others."""
    invalidations: int = 0
    """Values dropped because a tag of theirs was announced."""
    redis_errors: int = 0
    """Calls to Redis that failed or took too long."""


@dataclass(slots=True)
class CacheStatistics:
    """What a process's cache can tell about itself."""

    namespaces: dict[str, NamespaceStatistics] = field(default_factory=dict)
    """By the name of the namespace."""
    listening: bool = False
    """Whether invalidations are heard; without them everything is loaded."""
    redis_up: bool | None = None
    """Whether Redis answers; None where none is configured."""
    announcements: int = 0
    """Invalidations heard from other commits and our own."""
    connections: int = 0
    """Times that the listening connection was made; each time everything was dropped."""
    redis_failures: int = 0
    """Calls to Redis that failed, those of no namespace (probes, publishing) included."""
    warmer_failures: int = 0
    """Warmers that raised or took too long."""
