"""Attainment, budget and burn rates, against numbers worked out by hand."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from muniment.db import Database
from muniment.observability.objectives.collector import ObjectiveCollector
from muniment.observability.objectives.recorder import Recorder
from muniment.observability.objectives.report import (
    Window,
    budget_of,
    burn_of,
    burning,
    report,
    state_of,
)
from muniment.observability.objectives.schemas import ObjectiveReport
from muniment.observability.objectives.writer import ObjectiveWriter, statements
from tests.conftest import Clone
from tests.observability.objectives.conftest import BOTH, SERIES, put

FILL = """
INSERT INTO objective_counts (series, starts_at, hourly, total, good, failed, counts)
SELECT series, moment, hourly, 100, 99, 0, array_fill(3::bigint, ARRAY[28])
FROM unnest(%s::text[]) AS series, (
    SELECT generate_series(now() - interval '2 days', now(), interval '1 minute'), false
    UNION ALL
    SELECT generate_series(
        now() - interval '27 days 23 hours', now() - interval '2 days', interval '1 hour'
    ), true
) AS filled (moment, hourly)
"""


async def read(database: Database) -> ObjectiveReport:
    async with database.system() as work:
        return (await report(work, BOTH))[0]


async def test_without_data(database: Database) -> None:
    found = await read(database)
    assert (found.state, found.total, found.attainment) == ("no_data", 0, None)
    assert (found.budget.allowed, found.budget.spent, found.budget.remaining) == (0, 0, None)
    assert [(each.window, each.total, each.rate) for each in found.burn] == [
        (window, 0, None) for window in ("5m", "30m", "1h", "6h", "3d")
    ]
    assert found.percentiles.p50_ms is None


async def test_windows_hold_what_lies_in_them(database: Database) -> None:
    """Of 99 % promised, a share of 1 % bad burns at 1."""
    ages = {
        timedelta(minutes=3): (1000, 10),
        timedelta(minutes=20): (1000, 20),
        timedelta(minutes=50): (1000, 30),
        timedelta(hours=5): (1000, 0),
        timedelta(days=2): (1000, 40),
        timedelta(days=20): (5000, 0),
        timedelta(days=29): (1000, 1000),  # not in the window
    }
    for age, (total, bad) in ages.items():
        await put(database, "search", age, total=total, bad=bad)
    found = await read(database)
    assert [(each.window, each.total, each.bad, each.rate) for each in found.burn] == [
        ("5m", 1000, 10, 1.0),
        ("30m", 2000, 30, 1.5),
        ("1h", 3000, 60, 2.0),
        ("6h", 4000, 60, 1.5),
        ("3d", 5000, 100, 2.0),
    ]
    assert (found.total, found.good, found.attainment) == (10_000, 9_900, 0.99)
    assert found.budget.allowed == 100
    assert found.budget.spent == 100
    assert found.budget.remaining == 0
    # 2.0 over three days and 1.5 over six hours are both above 1.
    assert found.state == "burning"


async def test_hours_count_as_their_minutes_did(database: Database) -> None:
    for day in range(1, 20):
        await put(database, "search", timedelta(days=day), total=100 * day, bad=day)
    before = await read(database)
    await ObjectiveWriter(database, Recorder(BOTH), BOTH).tidy()
    after = await read(database)
    assert (after.total, after.good) == (before.total, before.good)
    assert after.percentiles == before.percentiles


def test_the_budget_of_three_nines() -> None:
    """One million requests at 99.9 % may fail a thousand times; 250 have."""
    budget = budget_of(1_000_000, 999_750, 0.999)
    assert (budget.allowed, budget.spent, budget.remaining) == (1000, 250, 0.75)
    assert budget_of(1000, 997, 0.999).remaining == -2


def test_the_burn_rate_of_three_nines() -> None:
    """1.44 % bad against 0.1 % allowed is the workbook's 14.4."""
    assert burn_of("1h", 10_000, 10_000 - 144, 0.999).rate == 14.4
    assert burn_of("1h", 0, 0, 0.999).rate is None


@pytest.mark.parametrize(
    ("rates", "state"),
    [
        ({}, "ok"),
        ({"1h": 15, "5m": 15}, "burning"),
        ({"1h": 15}, "ok"),  # it is over
        ({"5m": 15}, "ok"),  # it has only begun
        ({"1h": 14, "5m": 14}, "ok"),
        ({"6h": 7, "30m": 7}, "burning"),
        ({"3d": 1.1, "6h": 1.1}, "burning"),
        ({"3d": 1.1, "6h": 0.9}, "ok"),
    ],
)
def test_it_burns_where_a_long_and_a_short_window_agree(
    rates: dict[Window, float], state: str
) -> None:
    total = 1_000_000
    burn = [
        burn_of(window, total, round(total * (1 - rates.get(window, 0) * 0.001)), 0.999)
        for window in ("5m", "30m", "1h", "6h", "3d")
    ]
    assert state_of(total, budget_of(total * 100, total * 100, 0.999), burn) == state


def test_a_few_slow_ones_are_no_fire() -> None:
    for bad, state in ((4, "ok"), (5, "exhausted")):
        burn = [burn_of(window, 6, 6 - bad, 0.999) for window in ("5m", "30m", "1h", "6h", "3d")]
        assert state_of(6, budget_of(6, 6 - bad, 0.999), burn) == state


async def test_the_doctor_is_told_of_what_burns(database: Database) -> None:
    await put(database, "search", timedelta(minutes=1), total=100, bad=50)
    await put(database, "convert", timedelta(minutes=1), total=100, bad=0)
    async with database.operator() as work:
        found = await burning(work, BOTH)
    assert [(each.name, each.state) for each in found] == [("search", "exhausted")]


async def test_metrics_tell_what_was_read(database: Database) -> None:
    collector = ObjectiveCollector(BOTH)
    assert _samples(collector)["muniment_objective_read_timestamp_seconds"] == 0
    await put(database, "search", timedelta(minutes=1), total=1000, bad=20)
    await collector.refresh(database)
    samples = _samples(collector)
    assert samples["muniment_objective_attainment_ratio", "search"] == 0.98
    assert samples["muniment_objective_target_ratio", "search"] == 0.99
    assert samples["muniment_objective_error_budget_remaining_ratio", "search"] == -1
    assert samples["muniment_objective_burn_rate", "search", "1h"] == 2
    assert samples["muniment_objective_bad", "search", "28d"] == 20
    assert samples["muniment_objective_bad", "search", "5m"] == 20
    assert ("muniment_objective_attainment_ratio", "convert") not in samples
    assert samples["muniment_objective_read_timestamp_seconds"] > 0


async def test_four_weeks_are_read_by_index(database: Database, clone: Clone) -> None:
    """As much as can be there: two days of minutes and 26 of hours, of six series."""
    series = [*SERIES.values(), "c/1", "d/1", "e/1", "f/1"]
    with psycopg.connect(clone.installation.owner_dsn, autocommit=True) as connection:
        connection.execute(FILL, [series])
        connection.execute("ANALYZE objective_counts")
        ((kept,),) = connection.execute("SELECT count(*) FROM objective_counts").fetchall()
    assert 20_000 < kept < 22_000
    sql = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statements.objective_totals.sql}"
    for asked, most_blocks in ((series[:1], 1_000), (series, 6_000)):
        async with database.system() as work:
            told = await work.connection.fetchval(sql, asked, [28] * len(asked))
        (plan,) = json.loads(told)
        assert '"Seq Scan"' not in told
        assert "objective_counts_pkey" in told or "objective_counts_by_time" in told
        assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < most_blocks
    assert (await read(database)).total == 100 * kept / 6


def _samples(collector: ObjectiveCollector) -> dict[Any, float]:
    found: dict[Any, float] = {}
    for family in collector.collect():
        for sample in family.samples:
            key = (sample.name, *sample.labels.values())
            found[key if len(key) > 1 else sample.name] = sample.value
    return found
