"""What the processes use of their machines."""

from tools.dashboards.build import Dashboard, Panel, Query, Row, rate

_WHO = "{{process}} {{slot}}"

DASHBOARD = Dashboard(
    "processes",
    "Processes",
    "Processor time, memory and file descriptors of API, workers and conversion processes.",
    [
        Row(
            "Use",
            [
                Panel(
                    "Processor",
                    "Cores in use.",
                    "short",
                    [rate("process_cpu_seconds_total", "process, slot")],
                    stacked=True,
                ),
                Panel(
                    "Memory",
                    "Resident memory.",
                    "bytes",
                    [Query("sum by (process, slot) (process_resident_memory_bytes{$here})", _WHO)],
                    stacked=True,
                ),
                Panel(
                    "File descriptors",
                    "Open files and sockets.",
                    "short",
                    [Query("sum by (process, slot) (process_open_fds{$here})", _WHO)],
                ),
                Panel(
                    "Threads",
                    "Threads of each process.",
                    "short",
                    [Query("sum by (process, slot) (process_threads{$here})", _WHO)],
                ),
                Panel(
                    "Event loop",
                    "p99 of how late the event loop comes to a timer: every request and job of the "
                    "process waits as long in addition.",
                    "s",
                    [
                        Query(
                            "histogram_quantile(0.99, sum by (le, process, slot) (rate("
                            "muniment_event_loop_lag_seconds_bucket{$here}[$__rate_interval])))",
                            _WHO,
                        )
                    ],
                    steps=(("green", 0), ("yellow", 0.1), ("red", 0.25)),
                ),
                Panel(
                    "Answering",
                    "1 for a process that tells its metrics, 0 for one that runs and does not.",
                    "short",
                    [Query("min by (process, slot) (muniment_process_up{$here})", _WHO)],
                    steps=(("red", 0), ("green", 1)),
                    most=1,
                ),
            ],
        ),
        Row(
            "Versions and starts",
            [
                Panel(
                    "Running for",
                    "Time since each process started.",
                    "s",
                    [
                        Query(
                            "time() - max by (process, slot) (process_start_time_seconds{$here})",
                            _WHO,
                        )
                    ],
                    width=12,
                ),
                Panel(
                    "Versions",
                    "Processes by version, role and Python.",
                    "short",
                    [
                        Query(
                            "count by (version, role, python) (muniment_build_info{$here})",
                            "{{version}} {{role}} {{python}}",
                            table=True,
                        )
                    ],
                    "table",
                    12,
                    8,
                ),
            ],
        ),
    ],
)
