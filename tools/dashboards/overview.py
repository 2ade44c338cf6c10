"""Requests: how many, how fast, how many failed."""

from tools.dashboards.build import Dashboard, Panel, Query, Row, percentiles, rate, slowest

_REQUESTS = "muniment_http_request_duration_seconds"
_BAD = (("green", 0), ("yellow", 0.01), ("red", 0.05))

DASHBOARD = Dashboard(
    "overview",
    "Overview",
    "Requests, errors and latency of the API, and whether everything is there.",
    [
        Row(
            "Now",
            [
                Panel(
                    "Requests",
                    "Requests a second over all routes.",
                    "reqps",
                    [Query(f"sum(rate({_REQUESTS}_count{{$here}}[$__rate_interval]))")],
                    "stat",
                    4,
                    4,
                ),
                Panel(
                    "Failed",
                    "Share of responses with status 5xx; the objective of availability says how "
                    "much is too much.",
                    "percentunit",
                    [
                        Query(
                            f'(sum(rate({_REQUESTS}_count{{$here,status="5xx"}}[$__rate_interval]))'
                            f" or vector(0)) / "
                            f"sum(rate({_REQUESTS}_count{{$here}}[$__rate_interval]))"
                        )
                    ],
                    "stat",
                    4,
                    4,
                    _BAD,
                ),
                Panel(
                    "p95",
                    "Time within which 95 % of requests are answered, over all routes.",
                    "s",
                    [percentiles(_REQUESTS)[1]],
                    "stat",
                    4,
                    4,
                    (("green", 0), ("yellow", 0.3), ("red", 1)),
                ),
                Panel(
                    "Processes",
                    "Processes that tell their metrics.",
                    "short",
                    [Query("sum(muniment_process_up{$here})")],
                    "stat",
                    4,
                    4,
                    (("red", 0), ("green", 1)),
                ),
                Panel(
                    "Jobs waiting",
                    "Jobs of all organizations that are due and wait for a worker.",
                    "short",
                    [
                        Query(
                            "sum(max by (lane, kind) "
                            '(muniment_queue_jobs{$here,state="waiting"})) or vector(0)'
                        )
                    ],
                    "stat",
                    4,
                    4,
                    (("green", 0), ("yellow", 1000), ("red", 10000)),
                ),
                Panel(
                    "Least budget left",
                    "Of all objectives the one with the smallest rest of its error budget.",
                    "percentunit",
                    [Query("min(muniment_objective_error_budget_remaining_ratio{$here})")],
                    "stat",
                    4,
                    4,
                    (("red", 0), ("yellow", 0.1), ("green", 0.5)),
                    least=None,
                ),
            ],
        ),
        Row(
            "Requests",
            [
                Panel(
                    "Requests by status",
                    "Requests a second by class of their status.",
                    "reqps",
                    [rate(f"{_REQUESTS}_count", "status")],
                    stacked=True,
                ),
                Panel(
                    "Requests by route",
                    "The ten busiest routes.",
                    "reqps",
                    [
                        Query(
                            f"topk(10, sum by (method, route) "
                            f"(rate({_REQUESTS}_count{{$here}}[$__rate_interval])))",
                            "{{method}} {{route}}",
                        )
                    ],
                ),
                Panel(
                    "Failures by route",
                    "Responses of status 5xx a second.",
                    "reqps",
                    [rate(f"{_REQUESTS}_count", "method, route", ',status="5xx"')],
                ),
            ],
        ),
        Row(
            "Latency",
            [
                Panel(
                    "Over all routes",
                    "Percentiles of the time from the first byte of a request to the last of its "
                    "response.",
                    "s",
                    percentiles(_REQUESTS),
                ),
                Panel(
                    "Slowest routes",
                    "The ten routes with the highest p95.",
                    "s",
                    [slowest(_REQUESTS, "route")],
                ),
                Panel(
                    "Search by stage",
                    "p95 of the stages of a search: embedding the question, finding candidates, "
                    "fetching passages, and all.",
                    "s",
                    [slowest("muniment_search_stage_duration_seconds", "stage")],
                    steps=(("green", 0), ("red", 0.3)),
                ),
            ],
        ),
        Row(
            "Streams and size",
            [
                Panel(
                    "In progress",
                    "Requests that are being answered.",
                    "short",
                    [
                        Query(
                            "sum by (process, slot) (muniment_http_requests_in_progress{$here})",
                            "{{process}} {{slot}}",
                        )
                    ],
                ),
                Panel(
                    "Streams of events",
                    "Clients that listen.",
                    "short",
                    [
                        Query(
                            "sum by (transport) (muniment_realtime_connections{$here})",
                            "{{transport}}",
                        )
                    ],
                ),
                Panel(
                    "Searches by outcome",
                    "Searches a second: found passages, nothing, refused, failed.",
                    "ops",
                    [rate("muniment_searches_total", "mode, outcome")],
                ),
            ],
        ),
    ],
)
