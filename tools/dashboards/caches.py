"""Cache, request limits and outside services."""

from tools.dashboards.build import Dashboard, Panel, Query, Row, rate, slowest

_HITS = "sum by (namespace) (rate(muniment_cache_hits_total{$here}[$__rate_interval]))"
_MISSES = "sum by (namespace) (rate(muniment_cache_misses_total{$here}[$__rate_interval]))"

DASHBOARD = Dashboard(
    "caches",
    "Caches and limits",
    "Hit rates, invalidations, request limits, and services outside of this installation.",
    [
        Row(
            "Cache",
            [
                Panel(
                    "Hit rate",
                    "Share of values that were cached, by namespace.",
                    "percentunit",
                    [Query(f"{_HITS} / ({_HITS} + {_MISSES})", "{{namespace}}")],
                    steps=(("red", 0), ("green", 0.8)),
                    most=1,
                ),
                Panel(
                    "Hits by level",
                    "Values a second from the memory of the process and from Redis.",
                    "ops",
                    [rate("muniment_cache_hits_total", "level")],
                    stacked=True,
                ),
                Panel(
                    "Hearing invalidations",
                    "1 while a process hears what others change; without it everything is loaded.",
                    "short",
                    [
                        Query(
                            "min by (process, slot) (muniment_cache_listening{$here})",
                            "{{process}} {{slot}}",
                        )
                    ],
                    steps=(("red", 0), ("green", 1)),
                    most=1,
                ),
                Panel(
                    "Memory",
                    "Bytes of cached values, by namespace.",
                    "bytes",
                    [Query("sum by (namespace) (muniment_cache_bytes{$here})", "{{namespace}}")],
                    stacked=True,
                ),
                Panel(
                    "Time of a load",
                    "Mean time to load a value that was not cached.",
                    "s",
                    [
                        Query(
                            "sum by (namespace) (rate("
                            "muniment_cache_load_seconds_total{$here}[$__rate_interval])) / "
                            f"{_MISSES}",
                            "{{namespace}}",
                        )
                    ],
                ),
                Panel(
                    "Invalidations and evictions",
                    "Values dropped a second: something changed, or others needed the room.",
                    "ops",
                    [
                        Query(
                            "sum(rate(muniment_cache_invalidations_total{$here}"
                            "[$__rate_interval]))",
                            "invalidated",
                        ),
                        Query(
                            "sum(rate(muniment_cache_evictions_total{$here}[$__rate_interval]))",
                            "evicted",
                        ),
                        Query(
                            "sum(rate(muniment_cache_bypasses_total{$here}[$__rate_interval]))",
                            "bypassed",
                        ),
                        Query(
                            "sum(rate(muniment_cache_redis_errors_total{$here}[$__rate_interval]))",
                            "errors of Redis",
                        ),
                    ],
                ),
            ],
        ),
        Row(
            "Request limits",
            [
                Panel(
                    "Checks",
                    "Requests a second that were held against a limit.",
                    "ops",
                    [rate("muniment_rate_limit_checks_total", "kind")],
                ),
                Panel(
                    "Refused",
                    "Requests a second that were answered 429.",
                    "ops",
                    [rate("muniment_rate_limit_refusals_total", "kind")],
                ),
                Panel(
                    "Not counted",
                    "Requests let pass because Redis could not count them.",
                    "ops",
                    [rate("muniment_rate_limit_unseen_total", "kind")],
                    steps=(("green", 0), ("red", 0.1)),
                ),
            ],
        ),
        Row(
            "Outside services",
            [
                Panel(
                    "Latency",
                    "p95 of calls, by service.",
                    "s",
                    [slowest("muniment_outside_service_duration_seconds", "service")],
                ),
                Panel(
                    "Calls by outcome",
                    "Calls a second.",
                    "ops",
                    [rate("muniment_outside_service_duration_seconds_count", "service, outcome")],
                ),
                Panel(
                    "Remaining allowance",
                    "Calls that a service says that it will still answer.",
                    "short",
                    [
                        Query(
                            "min by (service) "
                            "(muniment_outside_service_allowance_remaining{$here})",
                            "{{service}}",
                        )
                    ],
                    steps=(("red", 0), ("green", 100)),
                ),
            ],
        ),
    ],
)
