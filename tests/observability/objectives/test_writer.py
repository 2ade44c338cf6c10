"""What was counted reaches the database once, and stays small there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from muniment.db import Database, observe_statements
from muniment.observability.objectives.histogram import STEPS
from muniment.observability.objectives.recorder import Recorder
from muniment.observability.objectives.report import report
from muniment.observability.objectives.writer import (
    MOST_BATCHES,
    ObjectiveWriter,
    statements,
)
from tests.conftest import Clone
from tests.observability.objectives.conftest import BOTH, SERIES, put, rows
from tests.waiting import until


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def search(recorder: Recorder, *milliseconds: float, status: int = 200) -> None:
    for each in milliseconds:
        recorder.request_ended("/v1/search", "POST", status, each / 1000)


async def total(database: Database) -> int:
    return sum(row["total"] for row in await rows(database))


async def test_what_was_counted_is_what_is_reported(database: Database) -> None:
    recorder = Recorder(BOTH)
    writer = ObjectiveWriter(database, recorder, BOTH)
    search(recorder, *[10] * 180, *[400] * 20)
    search(recorder, 5, status=500)
    recorder.job_ended("documents.convert", 30.0, failed=False)
    await writer.flush()
    search(recorder, *[10] * 99)
    await writer.flush()
    async with database.system() as work:
        found, convert = await report(work, BOTH)
    assert (found.total, found.good, found.failed) == (300, 279, 1)
    assert found.attainment == 279 / 300
    assert (convert.total, convert.good) == (1, 1)
    assert found.percentiles.p50_ms == pytest.approx(8.9, abs=1.2)
    stored = await rows(database)
    assert {sum(row["counts"]) for row in stored if row["series"] == SERIES["convert"]} == {1}


async def test_nothing_counted_is_nothing_written(database: Database) -> None:
    ran: list[str] = []
    recorder = Recorder(BOTH)
    writer = ObjectiveWriter(database, recorder, BOTH)
    with observe_statements(lambda name, _seconds, _error: ran.append(name)):
        await writer.flush()
        assert ran == []
        search(recorder, 1, 2, 3)
        recorder.job_ended("documents.convert", 1.0, failed=False)
        await writer.flush()
    assert ran == ["observability.objectives.add_objective_counts"]


async def test_processes_add_up(clone: Clone) -> None:
    async with clone.open() as one, clone.open() as other:
        for number, database in enumerate((one, other, one, other)):
            recorder = Recorder(BOTH)
            search(recorder, *[10] * (number + 1), *[900] * number)
            await ObjectiveWriter(database, recorder, BOTH).flush()
        async with one.system() as work:
            found = (await report(work, BOTH))[0]
        assert (found.total, found.good) == (16, 10)
        assert all(sum(row["counts"]) == row["total"] for row in await rows(one))


async def test_a_batch_that_is_sent_twice_counts_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer gets lost after the server has committed."""
    recorder = Recorder(BOTH)
    writer = ObjectiveWriter(database, recorder, BOTH)
    add = writer._add

    async def answer_lost(batch: Any) -> None:
        await add(batch)
        raise TimeoutError

    monkeypatch.setattr(writer, "_add", answer_lost)
    search(recorder, 1, 1, 1)
    with pytest.raises(TimeoutError):
        await writer.flush()
    monkeypatch.setattr(writer, "_add", add)
    search(recorder, 1, 1)
    assert writer.waiting == 1
    await writer.flush()
    assert (writer.waiting, await total(database)) == (0, 5)


async def test_a_database_that_is_away_loses_nothing_until_the_bound(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, recorder = Clock(), Recorder(BOTH)
    writer = ObjectiveWriter(database, recorder, BOTH, clock=clock)
    add = writer._add

    async def away(_batch: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(writer, "_add", away)
    for _ in range(8):  # two minutes, every 15 s
        search(recorder, 1)
        clock.now += 15
        with pytest.raises(TimeoutError):
            await writer.flush()
    assert writer.waiting == 3
    monkeypatch.setattr(writer, "_add", add)
    await writer.flush()
    stored = await rows(database)
    assert (sum(row["total"] for row in stored), writer.lost) == (8, 0)
    assert len(stored) >= 2, "they count for the minutes in which they were"

    monkeypatch.setattr(writer, "_add", away)
    for _ in range(MOST_BATCHES + 10):
        search(recorder, 1)
        clock.now += 61
        with pytest.raises(TimeoutError):
            await writer.flush()
    assert (writer.waiting, writer.lost) == (MOST_BATCHES, 10)


async def test_an_orderly_end_loses_nothing(database: Database) -> None:
    recorder = Recorder(BOTH)
    async with ObjectiveWriter(database, recorder, BOTH).running(every=3600):
        search(recorder, 1, 1, 1)
    assert await total(database) == 3


async def test_it_writes_while_it_runs(database: Database) -> None:
    recorder = Recorder(BOTH)

    async def written() -> bool:
        return await total(database) == 1

    async with ObjectiveWriter(database, recorder, BOTH).running(every=0.01):
        search(recorder, 1)
        await until(written)


async def test_rolling_up_keeps_the_sums(database: Database) -> None:
    for minute in range(180):
        counts = [minute, 7, *[0] * (STEPS - 3), 1]
        age = timedelta(days=3, minutes=minute)
        await put(
            database, "search", age, total=minute + 8, bad=minute % 3, failed=1, counts=counts
        )
    await put(database, "convert", timedelta(days=3), total=5, bad=1)
    await put(database, "search", timedelta(days=1), total=9, bad=0)
    before = await _sums(database)
    writer = ObjectiveWriter(database, Recorder(BOTH), BOTH)
    await writer.tidy()
    assert await _sums(database) == before
    stored = await rows(database)
    assert [row["total"] for row in stored if not row["hourly"]] == [9]
    hours = [row for row in stored if row["hourly"]]
    assert 4 <= len(hours) <= 5
    assert all((row["starts_at"].minute, row["starts_at"].second) == (0, 0) for row in hours)
    # Late minutes join the hour that is there.
    await put(database, "search", timedelta(days=3), total=100, bad=50)
    await writer.tidy()
    assert await total(database) == before["total"] + 100
    assert len([row for row in await rows(database) if row["hourly"]]) == len(hours)


async def test_rolling_up_is_bounded(database: Database) -> None:
    for minute in range(30):
        await put(database, "search", timedelta(days=3, minutes=minute), total=1, bad=0)
    async with database.single_statement() as work:
        assert await statements.roll_up_objective_counts(work, limit=20) == 20
        assert await statements.roll_up_objective_counts(work, limit=20) == 10
        assert await statements.roll_up_objective_counts(work, limit=20) == 0
    assert await total(database) == 30


async def test_pruning_is_bounded_and_spares_what_a_window_reaches(database: Database) -> None:
    for day in range(25, 35):
        await put(database, "search", timedelta(days=day), total=1, bad=0)
    async with database.single_statement() as work:
        assert await statements.prune_objective_counts(work, days=28, limit=4) == 4
        assert await statements.prune_objective_counts(work, days=28, limit=4) == 2
    assert await total(database) == 4


async def test_processes_that_are_gone_are_forgotten(database: Database) -> None:
    recorder = Recorder(BOTH)
    writer = ObjectiveWriter(database, recorder, BOTH)
    search(recorder, 1)
    await writer.flush()
    async with database.operator() as work:
        await work.connection.execute(
            "UPDATE objective_writers SET written_at = now() - interval '8 days'"
        )
    await writer.tidy()
    async with database.operator() as work:
        assert await work.connection.fetchval("SELECT count(*) FROM objective_writers") == 0


async def _sums(database: Database) -> dict[str, Any]:
    stored = await rows(database)
    sums: dict[str, Any] = {
        name: sum(row[name] for row in stored) for name in ("total", "good", "failed")
    }
    sums["counts"] = [sum(step) for step in zip(*(row["counts"] for row in stored), strict=True)]
    return sums
