"""Statements are reported when they are slow, and pools when they are nearly used up."""

from __future__ import annotations

from structlog.testing import capture_logs

from muniment.db import Database
from muniment.observability.metrics import Metrics
from muniment.observability.request_record import RequestRecord, current_work
from muniment.observability.statement_watch import StatementWatch


def test_slow_statements_are_reported() -> None:
    watch = StatementWatch(Metrics("api"), slow_seconds=0.1)
    with capture_logs() as log:
        watch.saw("jobs.list_jobs", 0.099, None)
        watch.saw("jobs.list_jobs", 0.25, None)
    assert log == [
        {
            "event": "slow_statement",
            "log_level": "warning",
            "statement": "jobs.list_jobs",
            "ms": 250.0,
        }
    ]


def test_statements_are_counted_for_their_request() -> None:
    record = RequestRecord("x")
    token = current_work.set(record)
    StatementWatch(Metrics("api")).saw("jobs.list_jobs", 0.001, LookupError())
    current_work.reset(token)
    assert record.statements == {"jobs.list_jobs": 1}


async def test_nearly_exhausted_pool_is_reported_once(database: Database) -> None:
    watch = StatementWatch(Metrics("api"), database.pool)
    with watch.watching(), capture_logs() as log:
        async with database.system(), database.system(), database.system():
            assert log == []
            watch.waited(0.1)
            assert log == []
            async with database.system():
                for _ in range(3):
                    watch.waited(0.1)
    assert [line["event"] for line in log] == ["pool_nearly_exhausted"]
    assert (log[0]["busy"], log[0]["most"], log[0]["waiting"]) == (4, 5, 0)
    assert database.pool.observers == []


async def test_watching_ends_with_the_context(database: Database) -> None:
    metrics = Metrics("api")
    with StatementWatch(metrics).watching():
        async with database.system():
            pass
    seen = metrics.render("")[0]
    async with database.system():
        pass
    assert b'statement="db.begin"' in seen
    assert metrics.render("")[0].count(b"db.begin") == seen.count(b"db.begin")
    assert b'duration_seconds_count{statement="db.begin"} 1.0' in metrics.render("")[0]
