"""Running checks: bounded in number and time, and none harms the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Literal

import structlog

from muniment.db.doctor import DoctorCheck, Examination, Fault, Finding, Needs, Severity
from muniment.errors import MunimentError
from muniment.observability.doctor.errors import UnknownCheck
from muniment.observability.doctor.schemas import CheckOutcome, DoctorReport

AT_ONCE = 2
"""Checks under way at a time: the operator has few connections, and others work meanwhile."""
ALL_SECONDS = 30.0
"""Time of a whole run; what has not been made by then is given up. Usually it takes one or two."""

_log = structlog.get_logger(__name__)
_ORDER = list(Severity)
_GATES = (Needs.DATABASE, Needs.SCHEMA)


class Doctor:
    """Examines the installation on demand; who asks meanwhile waits for the same report."""

    def __init__(self, checks: Sequence[DoctorCheck], examination: Examination) -> None:
        """Take the checks of all rooms.

        Raises:
            ValueError: two checks have the same id.
        """
        self.checks = tuple(checks)
        if len({check.id for check in checks}) < len(checks):
            raise ValueError("two checks of the doctor have the same id")
        self._examination = examination
        self._under_way: dict[str | None, asyncio.Task[DoctorReport]] = {}
        self._turn = asyncio.Lock()

    async def report(self, only: str | None = None) -> DoctorReport:
        """Make all checks, or one, and return what they found, the worst first.

        Raises:
            UnknownCheck: there is no check of this id.
        """
        chosen = [check for check in self.checks if only in (None, check.id)]
        if not chosen:
            raise UnknownCheck
        task = self._under_way.get(only)
        if task is None:
            task = asyncio.create_task(self._run(chosen))
            self._under_way[only] = task
            task.add_done_callback(lambda _: self._under_way.pop(only, None))
        # Whoever goes away does not take the report from the others.
        return await asyncio.shield(task)

    async def _run(self, chosen: Sequence[DoctorCheck]) -> DoctorReport:
        async with self._turn:
            return await run_checks(chosen, self._examination, self._gates())

    def _gates(self) -> dict[Needs, DoctorCheck]:
        """Return the checks on which others depend."""
        known = {check.id: check for check in self.checks}
        wanted = {Needs.DATABASE: "db.reachable", Needs.SCHEMA: "db.migrations"}
        return {need: known[name] for need, name in wanted.items() if name in known}


async def run_checks(
    chosen: Sequence[DoctorCheck],
    examination: Examination,
    gates: dict[Needs, DoctorCheck],
) -> DoctorReport:
    """Make checks, those that others depend on first."""
    ends = asyncio.get_running_loop().time() + ALL_SECONDS
    made: dict[str, tuple[CheckOutcome, list[Finding]]] = {}
    missing: dict[Needs, str] = {}
    for need in _GATES:
        if need not in gates:
            continue
        gate = gates[need]
        if gate.needs in missing:
            missing[need] = missing[gate.needs]
            continue
        made[gate.id] = await _made(gate, examination, ends)
        if made[gate.id][1]:
            missing[need] = gate.id
    places = asyncio.Semaphore(AT_ONCE)

    async def one(check: DoctorCheck) -> tuple[CheckOutcome, list[Finding]]:
        if check.id in made:
            return made[check.id]
        blocked = _blocked(check, missing)
        if blocked is not None:
            return CheckOutcome(check.id, check.title, ok=False, ms=0.0, skipped=blocked), []
        async with places:
            return await _made(check, examination, ends)

    results = await asyncio.gather(*(one(check) for check in chosen))
    # A gate that failed is told even where only another check was asked for.
    asked = {check.id for check in chosen}
    extra = [result for name, result in made.items() if name not in asked and result[1]]
    outcomes = [outcome for outcome, _ in [*extra, *results]]
    findings = [finding for _, found in [*extra, *results] for finding in found]
    findings.sort(key=lambda finding: (_ORDER.index(finding.severity), finding.id, finding.title))
    return DoctorReport(_status(findings), findings, outcomes)


def _blocked(check: DoctorCheck, missing: dict[Needs, str]) -> str | None:
    if check.needs is Needs.NOTHING:
        return None
    needed = _GATES[: _GATES.index(check.needs) + 1]
    cause = next((missing[need] for need in needed if need in missing), None)
    return None if cause is None else f"see {cause}"


async def _made(
    check: DoctorCheck, examination: Examination, ends: float
) -> tuple[CheckOutcome, list[Finding]]:
    began = perf_counter()
    left = max(0.0, min(check.seconds, ends - asyncio.get_running_loop().time()))
    try:
        async with asyncio.timeout(left):
            faults = await check.examine(examination)
    except TimeoutError:
        faults = [_unmade(check, f"It was given up after {left:.1f} s.")]
    except MunimentError as error:
        faults = [_unmade(check, error.detail)]
    except Exception as error:  # noqa: BLE001  # whatever it is, the others are to be made
        _log.warning("a check of the doctor failed", check=check.id, exc_info=True)
        faults = [_unmade(check, f"{type(error).__name__}: {error}")]
    ms = round((perf_counter() - began) * 1000, 1)
    findings = [check.finding(fault) for fault in faults]
    return CheckOutcome(check.id, check.title, not findings, ms, None), findings


def _unmade(check: DoctorCheck, reason: str) -> Fault:
    return Fault(
        title=f"The check could not be made: {check.title}",
        evidence=reason,
        remedy="Mend what it says, and ask again.",
    )


def _status(findings: Sequence[Finding]) -> Literal["ok", "warnings", "errors"]:
    severities = {finding.severity for finding in findings}
    if Severity.ERROR in severities:
        return "errors"
    return "warnings" if Severity.WARNING in severities else "ok"
