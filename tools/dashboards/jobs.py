"""Background work, and what it is made of."""

from tools.dashboards.build import Dashboard, Panel, Query, Row, rate, slowest

DASHBOARD = Dashboard(
    "jobs",
    "Jobs",
    "The queue, workers, durations and failures of jobs; conversions and embeddings.",
    [
        Row(
            "Queue",
            [
                Panel(
                    "Depth",
                    "Jobs of all organizations, by lane and state.",
                    "short",
                    [
                        Query(
                            "sum by (lane, state) (max by (lane, kind, state) "
                            "(muniment_queue_jobs{$here}))",
                            "{{lane}} {{state}}",
                        )
                    ],
                ),
                Panel(
                    "Age of the oldest",
                    "How long the job has waited that waits longest, by kind.",
                    "s",
                    [
                        Query(
                            "max by (lane, kind) (muniment_queue_oldest_waiting_seconds{$here})",
                            "{{lane}} {{kind}}",
                        )
                    ],
                    steps=(("green", 0), ("yellow", 300), ("red", 3600)),
                ),
                Panel(
                    "Paused lanes",
                    "1 while an operator has paused a lane.",
                    "short",
                    [Query("max by (lane) (muniment_queue_lane_paused{$here})", "{{lane}}")],
                    steps=(("green", 0), ("yellow", 1)),
                    most=1,
                ),
            ],
        ),
        Row(
            "Workers",
            [
                Panel(
                    "Utilisation",
                    "Share of the slots of a lane that work, over all workers.",
                    "percentunit",
                    [
                        Query(
                            "sum by (lane) (muniment_worker_jobs_running{$here}) / "
                            "sum by (lane) (muniment_worker_slots{$here})",
                            "{{lane}}",
                        )
                    ],
                    most=1,
                ),
                Panel(
                    "Ended",
                    "Attempts a second, by how they ended.",
                    "ops",
                    [rate("muniment_job_attempts_total", "outcome")],
                    stacked=True,
                ),
                Panel(
                    "Ended by kind",
                    "Attempts a second.",
                    "ops",
                    [rate("muniment_job_attempts_total", "kind")],
                ),
            ],
        ),
        Row(
            "Time and failures",
            [
                Panel(
                    "Duration",
                    "p95 of an attempt, by kind.",
                    "s",
                    [slowest("muniment_job_duration_seconds", "kind")],
                ),
                Panel(
                    "Wait",
                    "p95 of the time from when a job is due until it starts, by kind.",
                    "s",
                    [slowest("muniment_job_wait_seconds", "kind")],
                ),
                Panel(
                    "Failures",
                    "Attempts a second that failed, by kind and code of the error.",
                    "ops",
                    [rate("muniment_job_failures_total", "kind, code")],
                ),
                Panel(
                    "Share that fails for good",
                    "Of the jobs that ended, by kind.",
                    "percentunit",
                    [
                        Query(
                            "sum by (kind) (rate("
                            'muniment_job_attempts_total{$here,outcome="failed"}'
                            "[$__rate_interval])) / sum by (kind) (rate(muniment_job_attempts_total"
                            '{$here,outcome=~"succeeded|failed"}[$__rate_interval]))',
                            "{{kind}}",
                        )
                    ],
                    steps=(("green", 0), ("red", 0.2)),
                    most=1,
                ),
                Panel(
                    "Statements per attempt",
                    "p95 by kind.",
                    "short",
                    [slowest("muniment_job_statements", "kind")],
                ),
                Panel(
                    "Taken over",
                    "Attempts a second that another worker took over from one that starved.",
                    "ops",
                    [rate("muniment_job_attempts_total", "kind", ',outcome="lost"')],
                    steps=(("green", 0), ("red", 0.1)),
                ),
            ],
        ),
        Row(
            "Conversion and embedding",
            [
                Panel(
                    "Files",
                    "Files converted a second, by outcome.",
                    "ops",
                    [rate("muniment_conversion_files_total", "outcome")],
                    stacked=True,
                ),
                Panel(
                    "Child processes",
                    "Conversion and job processes that run, and how those that are gone ended.",
                    "short",
                    [
                        Query(
                            "sum by (process) (muniment_child_processes{$here})",
                            "{{process}} running",
                        ),
                        Query(
                            "sum by (process, reason) (increase("
                            "muniment_child_processes_ended_total{$here}"
                            "[$__rate_interval]))",
                            "{{process}} {{reason}}",
                        ),
                    ],
                ),
                Panel(
                    "Time per file",
                    "Percentiles over all types.",
                    "s",
                    [
                        Query(
                            "histogram_quantile(0.95, sum by (le) (rate("
                            "muniment_conversion_duration_seconds_bucket{$here}"
                            "[$__rate_interval])))",
                            "p95",
                        )
                    ],
                ),
                Panel(
                    "Passages embedded",
                    "Passages a second.",
                    "ops",
                    [
                        Query(
                            "sum(rate(muniment_embedding_passages_total{$here}[$__rate_interval]))",
                            "passages",
                        )
                    ],
                ),
                Panel(
                    "Time of embedding",
                    "p95 for a question, and for a list of passages.",
                    "s",
                    [slowest("muniment_embedding_duration_seconds", "what")],
                ),
                Panel(
                    "Waiting to be embedded",
                    "Lists of passages and questions that are embedded or wait for their turn.",
                    "short",
                    [Query("sum by (what) (muniment_embedding_waiting{$here})", "{{what}}")],
                ),
            ],
        ),
    ],
)
