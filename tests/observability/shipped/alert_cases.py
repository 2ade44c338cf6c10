"""For each alert series that make it fire, and similar ones that do not; one value a minute."""

from __future__ import annotations

from dataclasses import dataclass

Series = dict[str, str]


@dataclass(frozen=True)
class Case:
    """When to look, what fires until then and what does not."""

    minute: int
    fires: Series
    quiet: Series


_WORKER = 'job="muniment",instance="a:9090",process="worker",slot="0"'
_REQUESTS = "muniment_http_request_duration_seconds_count"
_EXCESS = "muniment_http_requests_with_excessive_statements_total"
_STATEMENTS = "muniment_db_statement_duration_seconds"
_CALLS = "muniment_outside_service_duration_seconds_count"
_OLDEST = "muniment_queue_oldest_waiting_seconds"
_PAUSED = "muniment_queue_lane_paused"
_ATTEMPTS = "muniment_job_attempts_total"
_ENDED = "muniment_child_processes_ended_total"
_LAG = "muniment_event_loop_lag_seconds_bucket"
_BURN = "muniment_objective_burn_rate"
_BAD = "muniment_objective_bad"
_LEFT = "muniment_objective_error_budget_remaining_ratio"
_ONCE = "0x10 1x60"
"""A counter that rises by one."""

CASES: dict[str, Case] = {
    "MunimentScrapeDown": Case(
        10,
        {'up{job="muniment",instance="a:8642"}': "0x20"},
        {
            'up{job="muniment",instance="a:8642"}': "1x8 0 1x10",
            'up{job="another",instance="b"}': "0x20",
        },
    ),
    "MunimentProcessSilent": Case(
        10,
        {f"muniment_process_up{{{_WORKER}}}": "0x20"},
        {f"muniment_process_up{{{_WORKER}}}": "1x8 0 1x10"},
    ),
    "MunimentNoWorker": Case(
        10,
        {'muniment_build_info{role="api"}': "1x20"},
        {'muniment_build_info{role="api"}': "1x20", 'muniment_worker_slots{lane="fast"}': "8x20"},
    ),
    "MunimentRestarts": Case(
        15,
        {f"process_start_time_seconds{{{_WORKER}}}": "100x4 200x2 300x2 400x20"},
        {f"process_start_time_seconds{{{_WORKER}}}": "100x4 200x20"},
    ),
    "MunimentEventLoopLate": Case(
        30,
        {
            f'{_LAG}{{{_WORKER},le="0.25"}}': "0+98x40",
            f'{_LAG}{{{_WORKER},le="0.5"}}': "0+100x40",
            f'{_LAG}{{{_WORKER},le="+Inf"}}': "0+100x40",
        },
        {
            f'{_LAG}{{{_WORKER},le="0.25"}}': "0+100x40",
            f'{_LAG}{{{_WORKER},le="0.5"}}': "0+100x40",
            f'{_LAG}{{{_WORKER},le="+Inf"}}': "0+100x40",
        },
    ),
    "MunimentRequestsFail": Case(
        20,
        {f'{_REQUESTS}{{status="5xx"}}': "0+6x30", f'{_REQUESTS}{{status="2xx"}}': "0+94x30"},
        {f'{_REQUESTS}{{status="5xx"}}': "0+4x30", f'{_REQUESTS}{{status="2xx"}}': "0+96x30"},
    ),
    "MunimentTooManyStatements": Case(
        30,
        {f'{_EXCESS}{{route="/v1/a",excess="many"}}': "0+1x40"},
        {
            f'{_EXCESS}{{route="/v1/a",excess="many"}}': _ONCE,
            f'{_EXCESS}{{route="/v1/a",excess="repeated"}}': "0+1x40",
        },
    ),
    "MunimentRepeatedStatement": Case(
        30,
        {f'{_EXCESS}{{route="/v1/a",excess="repeated"}}': "0+1x40"},
        {
            f'{_EXCESS}{{route="/v1/a",excess="repeated"}}': _ONCE,
            f'{_EXCESS}{{route="/v1/a",excess="many"}}': "0+1x40",
        },
    ),
    "MunimentLimitsNotCounted": Case(
        30,
        {'muniment_rate_limit_unseen_total{kind="key"}': "0+5x40"},
        {'muniment_rate_limit_unseen_total{kind="key"}': _ONCE},
    ),
    "MunimentSlowStatement": Case(
        20,
        {
            f'{_STATEMENTS}_count{{statement="search.fetch"}}': "0+10x30",
            f'{_STATEMENTS}_bucket{{statement="search.fetch",le="1.0"}}': "0+9x30",
        },
        {
            f'{_STATEMENTS}_count{{statement="search.fetch"}}': "0+10x30",
            f'{_STATEMENTS}_bucket{{statement="search.fetch",le="1.0"}}': "0+10x30",
        },
    ),
    "MunimentStatementsFail": Case(
        30,
        {'muniment_db_statement_errors_total{statement="jobs.claim"}': "0+2x40"},
        {'muniment_db_statement_errors_total{statement="jobs.claim"}': "0x20 5x40"},
    ),
    "MunimentPoolSaturated": Case(
        10,
        {f'muniment_db_pool_saturation{{{_WORKER},pool="app"}}': "0.95x20"},
        {f'muniment_db_pool_saturation{{{_WORKER},pool="app"}}': "0.5x6 0.95x10"},
    ),
    "MunimentReplicaBehind": Case(
        10,
        {f"muniment_db_replica_lag_seconds{{{_WORKER}}}": "60x20"},
        {f"muniment_db_replica_lag_seconds{{{_WORKER}}}": "10x20"},
    ),
    "MunimentCacheMisses": Case(
        50,
        {
            'muniment_cache_hits_total{namespace="callers",level="memory"}': "0+70x60",
            'muniment_cache_misses_total{namespace="callers"}': "0+30x60",
            # Nothing was ever found in this one.
            'muniment_cache_misses_total{namespace="documents"}': "0+30x60",
        },
        {
            'muniment_cache_hits_total{namespace="callers",level="memory"}': "0+85x60",
            'muniment_cache_misses_total{namespace="callers"}': "0+15x60",
            # Hardly used.
            'muniment_cache_misses_total{namespace="documents"}': "0+1x60",
        },
    ),
    "MunimentCacheDeaf": Case(
        10,
        {f"muniment_cache_listening{{{_WORKER}}}": "0x20"},
        {f"muniment_cache_listening{{{_WORKER}}}": "1x8 0 1x10"},
    ),
    "MunimentAllowanceLow": Case(
        10,
        {'muniment_outside_service_allowance_remaining{service="github"}': "5000x5 99x20"},
        {'muniment_outside_service_allowance_remaining{service="github"}': "5000x5 100x20"},
    ),
    "MunimentOutsideServiceFails": Case(
        30,
        {
            f'{_CALLS}{{service="github",outcome="error"}}': "0+2x40",
            f'{_CALLS}{{service="github",outcome="timeout"}}': "0+1x40",
            f'{_CALLS}{{service="github",outcome="ok"}}': "0+7x40",
        },
        {
            f'{_CALLS}{{service="github",outcome="error"}}': "0+1x40",
            f'{_CALLS}{{service="github",outcome="cancelled"}}': "0+2x40",
            f'{_CALLS}{{service="github",outcome="ok"}}': "0+7x40",
        },
    ),
    "MunimentQueueOld": Case(
        20,
        {
            f'{_OLDEST}{{lane="fast",kind="sources.sync"}}': "301x30",
            f'{_OLDEST}{{lane="convert",kind="documents.convert"}}': "3601x30",
        },
        {
            f'{_OLDEST}{{lane="fast",kind="sources.sync"}}': "299x30",
            f'{_OLDEST}{{lane="convert",kind="documents.convert"}}': "3599x30",
            f'{_OLDEST}{{lane="embed",kind="documents.embed"}}': "9999x30",
            f'{_PAUSED}{{lane="embed"}}': "1x30",
            f'{_PAUSED}{{lane="fast"}}': "0x30",
        },
    ),
    "MunimentLanePaused": Case(
        90,
        {f'{_PAUSED}{{lane="embed"}}': "1x100"},
        {f'{_PAUSED}{{lane="embed"}}': "0x50 1x50"},
    ),
    "MunimentJobsFail": Case(
        30,
        {
            f'{_ATTEMPTS}{{kind="sources.sync",lane="fast",outcome="failed"}}': "0+3x40",
            f'{_ATTEMPTS}{{kind="sources.sync",lane="fast",outcome="succeeded"}}': "0+7x40",
        },
        {
            f'{_ATTEMPTS}{{kind="sources.sync",lane="fast",outcome="failed"}}': "0+1x40",
            f'{_ATTEMPTS}{{kind="sources.sync",lane="fast",outcome="retried"}}': "0+9x40",
            f'{_ATTEMPTS}{{kind="sources.sync",lane="fast",outcome="succeeded"}}': "0+7x40",
        },
    ),
    "MunimentJobsTakenOver": Case(
        30,
        {f'{_ATTEMPTS}{{kind="sources.sync",lane="fast",outcome="lost"}}': "0+1x40"},
        {f'{_ATTEMPTS}{{kind="sources.sync",lane="fast",outcome="lost"}}': _ONCE},
    ),
    "MunimentChildrenCrash": Case(
        30,
        {f'{_ENDED}{{process="conversion",reason="memory"}}': "0+1x40"},
        {
            f'{_ENDED}{{process="conversion",reason="memory"}}': _ONCE,
            f'{_ENDED}{{process="conversion",reason="recycled"}}': "0+9x40",
        },
    ),
    "MunimentObjectiveBurnsFast": Case(
        10,
        {
            f'{_BURN}{{objective="search",window="1h"}}': "15x20",
            f'{_BURN}{{objective="search",window="5m"}}': "15x20",
            f'{_BAD}{{objective="search",window="1h"}}': "5x20",
            f'{_BURN}{{objective="reading",window="6h"}}': "7x20",
            f'{_BURN}{{objective="reading",window="30m"}}': "7x20",
            f'{_BAD}{{objective="reading",window="6h"}}': "5x20",
        },
        {
            # It is over; it has only begun; too few to tell.
            f'{_BURN}{{objective="search",window="1h"}}': "15x20",
            f'{_BURN}{{objective="search",window="5m"}}': "1x20",
            f'{_BAD}{{objective="search",window="1h"}}': "5x20",
            f'{_BURN}{{objective="reading",window="6h"}}': "5x20",
            f'{_BURN}{{objective="reading",window="30m"}}': "7x20",
            f'{_BAD}{{objective="reading",window="6h"}}': "5x20",
            f'{_BURN}{{objective="few",window="1h"}}': "15x20",
            f'{_BURN}{{objective="few",window="5m"}}': "15x20",
            f'{_BAD}{{objective="few",window="1h"}}': "4x20",
        },
    ),
    "MunimentObjectiveBurns": Case(
        90,
        {
            f'{_BURN}{{objective="search",window="3d"}}': "1.1x100",
            f'{_BURN}{{objective="search",window="6h"}}': "1.1x100",
            f'{_BAD}{{objective="search",window="3d"}}': "5x100",
        },
        {
            f'{_BURN}{{objective="search",window="3d"}}': "1.1x100",
            f'{_BURN}{{objective="search",window="6h"}}': "0.9x100",
            f'{_BAD}{{objective="search",window="3d"}}': "5x100",
        },
    ),
    "MunimentObjectiveMissed": Case(
        30,
        {
            f'{_LEFT}{{objective="search"}}': "-0.1x40",
            f'{_BAD}{{objective="search",window="3d"}}': "5x40",
        },
        {
            f'{_LEFT}{{objective="search"}}': "0.1x40",
            f'{_LEFT}{{objective="few"}}': "-3x40",
            f'{_BAD}{{objective="few",window="3d"}}': "4x40",
        },
    ),
    "MunimentObjectivesStale": Case(
        30,
        {"muniment_objective_read_timestamp_seconds": "1x40"},
        {
            "muniment_objective_read_timestamp_seconds": "0+60x40",
            "muniment_objective_lost_total": "0x40",
        },
    ),
}
