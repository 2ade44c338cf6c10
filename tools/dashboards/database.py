"""The database as the processes see it."""

from tools.dashboards.build import Dashboard, Panel, Query, Row, percentiles, rate, slowest

_STATEMENTS = "muniment_db_statement_duration_seconds"

DASHBOARD = Dashboard(
    "database",
    "Database",
    "Pools, named statements, what is slow, and requests that run too many.",
    [
        Row(
            "Pools",
            [
                Panel(
                    "Saturation",
                    "Share of a pool's connections in use. Near 1, requests wait: see who holds "
                    "them, or raise MUNIMENT_POOL_SIZE within max_connections.",
                    "percentunit",
                    [
                        Query(
                            "max by (pool, process, slot) (muniment_db_pool_saturation{$here})",
                            "{{pool}} {{process}} {{slot}}",
                        )
                    ],
                    steps=(("green", 0), ("yellow", 0.8), ("red", 0.9)),
                    most=1,
                ),
                Panel(
                    "Connections",
                    "Open connections, and how many may be.",
                    "short",
                    [
                        Query("sum by (pool) (muniment_db_pool_size{$here})", "{{pool}} open"),
                        Query("sum by (pool) (muniment_db_pool_idle{$here})", "{{pool}} idle"),
                        Query("sum by (pool) (muniment_db_pool_max{$here})", "{{pool}} most"),
                    ],
                ),
                Panel(
                    "Waiting for a connection",
                    "p95 of the wait, and who waits now.",
                    "s",
                    [
                        slowest("muniment_db_pool_acquire_duration_seconds", "pool"),
                        Query(
                            "sum by (pool) (muniment_db_pool_waiting{$here})", "{{pool}} waiting"
                        ),
                    ],
                    extra={
                        "fieldConfig": {
                            "defaults": {"unit": "s", "min": 0},
                            "overrides": [
                                {
                                    "matcher": {"id": "byRegexp", "options": ".* waiting"},
                                    "properties": [
                                        {"id": "unit", "value": "short"},
                                        {"id": "custom.axisPlacement", "value": "right"},
                                    ],
                                }
                            ],
                        }
                    },
                ),
            ],
        ),
        Row(
            "Statements",
            [
                Panel(
                    "Busiest",
                    "Statements by how much time they take together: seconds of work a second.",
                    "percentunit",
                    [
                        Query(
                            f"topk(10, sum by (statement) "
                            f"(rate({_STATEMENTS}_sum{{$here}}[$__rate_interval])))",
                            "{{statement}}",
                        )
                    ],
                    stacked=True,
                ),
                Panel(
                    "Slowest",
                    "The ten statements with the highest p95.",
                    "s",
                    [slowest(_STATEMENTS, "statement")],
                    steps=(("green", 0), ("yellow", 0.1), ("red", 1)),
                ),
                Panel(
                    "Statements a second",
                    "The ten that run most often.",
                    "ops",
                    [
                        Query(
                            f"topk(10, sum by (statement) "
                            f"(rate({_STATEMENTS}_count{{$here}}[$__rate_interval])))",
                            "{{statement}}",
                        )
                    ],
                ),
                Panel(
                    "Longer than a second",
                    "How often in the range each statement took longer than a second. "
                    "`muniment doctor` explains its plan.",
                    "short",
                    [
                        Query(
                            f"sum by (statement) (increase({_STATEMENTS}_count{{$here}}[$__range]))"
                            f" - sum by (statement) "
                            f'(increase({_STATEMENTS}_bucket{{$here,le="1.0"}}[$__range])) > 0.5',
                            "{{statement}}",
                            table=True,
                        )
                    ],
                    "table",
                    8,
                    8,
                    (("green", 0), ("red", 1)),
                ),
                Panel(
                    "Slow by the settings",
                    "Statements a minute that took longer than MUNIMENT_SLOW_STATEMENT_MS, in "
                    "jobs MUNIMENT_SLOW_JOB_STATEMENT_MS.",
                    "short",
                    [
                        Query(
                            "60 * sum by (statement) (rate("
                            "muniment_db_slow_statements_total{$here}[$__rate_interval]))",
                            "{{statement}}",
                        )
                    ],
                ),
                Panel(
                    "Failed",
                    "Statements that failed, a second.",
                    "ops",
                    [rate("muniment_db_statement_errors_total", "statement")],
                ),
            ],
        ),
        Row(
            "Too many statements",
            [
                Panel(
                    "Statements per request",
                    "Percentiles over all routes.",
                    "short",
                    percentiles("muniment_http_request_statements"),
                    steps=(("green", 0), ("red", 10)),
                ),
                Panel(
                    "Requests with too many",
                    "In the range, by route: more than ten in all (many), or one of them over and "
                    "over (repeated, N+1).",
                    "short",
                    [
                        Query(
                            "sum by (route, excess) (increase("
                            "muniment_http_requests_with_excessive_statements_total{$here}"
                            "[$__range])) > 0.5",
                            "{{route}} {{excess}}",
                            table=True,
                        )
                    ],
                    "table",
                    8,
                    8,
                    (("green", 0), ("yellow", 1)),
                ),
                Panel(
                    "Jobs with too many",
                    "The same of jobs, which work in bulk and may run more.",
                    "short",
                    [
                        Query(
                            "sum by (kind, excess) (increase("
                            "muniment_jobs_with_excessive_statements_total{$here}"
                            "[$__range])) > 0.5",
                            "{{kind}} {{excess}}",
                            table=True,
                        )
                    ],
                    "table",
                    8,
                    8,
                    (("green", 0), ("yellow", 1)),
                ),
            ],
        ),
        Row(
            "Replica",
            [
                Panel(
                    "Lag",
                    "How far behind the replica is, where there is one.",
                    "s",
                    [
                        Query(
                            "max by (process, slot) (muniment_db_replica_lag_seconds{$here})",
                            "{{process}} {{slot}}",
                        )
                    ],
                    width=12,
                    steps=(("green", 0), ("red", 10)),
                ),
                Panel(
                    "Reads",
                    "Transactions that could read from the replica, and which did.",
                    "ops",
                    [rate("muniment_db_replica_reads_total", "outcome")],
                    width=12,
                ),
            ],
        ),
    ],
)
