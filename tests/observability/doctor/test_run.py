"""Checks are bounded, and none harms the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from muniment.db.doctor import (
    DoctorCheck,
    Examination,
    Fault,
    Needs,
    Severity,
    doctor_check,
)
from muniment.errors import MunimentError
from muniment.observability.doctor import run
from muniment.observability.doctor.errors import UnknownCheck
from muniment.observability.doctor.run import Doctor
from tests.observability.doctor.conftest import settings_in

nothing: Any = None


def check(
    name: str, *, faults: int = 0, error: Exception | None = None, needs: Needs = Needs.NOTHING,
    severity: Severity = Severity.ERROR, forever: bool = False,
) -> DoctorCheck:  # fmt: skip
    @doctor_check(name, f"{name} holds.", severity, needs=needs, seconds=0.2)
    async def examine(_: Examination) -> list[Fault]:
        if error is not None:
            raise error
        if forever:
            await asyncio.Event().wait()
        return [Fault(title="Bad.", evidence="seen", remedy="mend")] * faults

    return examine


def doctor(*checks: DoctorCheck) -> Doctor:
    return Doctor(checks, Examination(nothing, nothing))


async def test_findings_are_told_the_worst_first() -> None:
    report = await doctor(
        check("b.remark", faults=1, severity=Severity.INFO),
        check("a.warning", faults=2, severity=Severity.WARNING),
        check("a.well"),
        check("z.error", faults=1),
    ).report()
    assert [each.id for each in report.findings] == [
        "z.error",
        "a.warning",
        "a.warning",
        "b.remark",
    ]
    assert [each.room for each in report.findings] == ["z", "a", "a", "b"]
    assert report.status == "errors"
    assert [(each.id, each.ok) for each in report.checks] == [
        ("b.remark", False),
        ("a.warning", False),
        ("a.well", True),
        ("z.error", False),
    ]
    assert (await doctor(check("a.a", severity=Severity.INFO, faults=1)).report()).status == "ok"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (check("a.a", error=ValueError("bad luck")), "ValueError: bad luck"),
        (check("a.a", error=MunimentError("Too little.")), "Too little."),
        (check("a.a", error=TimeoutError()), "given up"),
        (check("a.a", forever=True), "It was given up after 0.2 s."),
    ],
)
async def test_a_check_that_fails_is_a_finding_and_its_neighbours_are_made(
    broken: DoctorCheck, reason: str
) -> None:
    report = await doctor(check("a.before", faults=1), broken, check("a.after")).report()
    found = {finding.id: finding for finding in report.findings}
    assert set(found) == {"a.before", "a.a"}
    assert found["a.a"].title == "The check could not be made: a.a holds."
    assert reason in found["a.a"].evidence
    assert found["a.a"].severity is Severity.ERROR


async def test_the_whole_run_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ALL_SECONDS", 0.1)
    stuck = [check(f"a.n{number}", forever=True) for number in range(20)]
    async with asyncio.timeout(5):
        report = await doctor(*stuck).report()
    assert len(report.findings) == 20


async def test_who_asks_meanwhile_is_given_the_same_report() -> None:
    made = 0
    gate = asyncio.Event()

    @doctor_check("a.slow", "Slow.", Severity.ERROR, needs=Needs.NOTHING)
    async def slow(_: Examination) -> list[Fault]:
        nonlocal made
        made += 1
        await gate.wait()
        return []

    asked = doctor(slow)
    first, gone, second = (asyncio.create_task(asked.report()) for _ in range(3))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert await first is await second
    assert made == 1
    assert (await asked.report()).status == "ok"
    assert made == 2


async def test_what_needs_a_database_is_left_out_without_one() -> None:
    checks = (
        check("db.reachable", error=OSError("gone")),
        check("db.migrations", needs=Needs.DATABASE),
        check("a.schema", needs=Needs.SCHEMA),
        check("a.database", needs=Needs.DATABASE),
        check("a.file"),
    )
    report = await doctor(*checks).report()
    assert [finding.id for finding in report.findings] == ["db.reachable"]
    skipped = {each.id: each.skipped for each in report.checks}
    assert skipped == {
        "db.reachable": None,
        "db.migrations": "see db.reachable",
        "a.schema": "see db.reachable",
        "a.database": "see db.reachable",
        "a.file": None,
    }
    alone = await doctor(*checks).report("a.schema")
    assert [finding.id for finding in alone.findings] == ["db.reachable"]


async def test_what_compares_the_schema_is_left_out_while_migrations_are_pending() -> None:
    report = await doctor(
        check("db.migrations", needs=Needs.DATABASE, faults=1),
        check("a.schema", needs=Needs.SCHEMA, faults=1),
        check("a.database", needs=Needs.DATABASE),
    ).report()
    assert [finding.id for finding in report.findings] == ["db.migrations"]
    assert [each.skipped for each in report.checks] == [None, "see db.migrations", None]


async def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(UnknownCheck):
        await doctor(check("a.a")).report("a.b")
    with pytest.raises(ValueError, match="same id"):
        doctor(check("a.a"), check("a.a"))


async def test_an_examination_lends_what_it_has(tmp_path: Any) -> None:
    async def seven() -> int:
        return 7

    examination = Examination(nothing, settings_in(tmp_path), {int: seven})
    assert await examination.lend(int) == 7
    assert await examination.lend(str) is None
