"""What the doctor looks at in the objectives."""

from __future__ import annotations

from muniment.db.doctor import DoctorCheck, Examination, Fault, Severity, doctor_check
from muniment.observability.objectives.report import burning
from muniment.observability.objectives.schemas import ObjectiveReport


@doctor_check("observability.objectives", "Every objective is kept.", Severity.WARNING)
async def objectives(examination: Examination) -> list[Fault]:
    """Find objectives whose error budget is spent, or is being spent too fast."""
    async with examination.database.operator() as work:
        found = await burning(work, examination.settings.objectives)
    return [_fault(each) for each in found]


def _fault(seen: ObjectiveReport) -> Fault:
    rates = ", ".join(
        f"{each.rate:.1f} in {each.window}" for each in seen.burn if each.rate is not None
    )
    spent = "is spent" if seen.state == "exhausted" else "is being spent too fast"
    told = "" if seen.within_ms is None else f" within {seen.within_ms:,.0f} ms"
    what = ", ".join(seen.routes or seen.jobs)
    attained = "" if seen.attainment is None else f"{seen.attainment:.3%}"
    p95 = "" if seen.percentiles.p95_ms is None else f"; p95 {seen.percentiles.p95_ms:,.0f} ms"
    return Fault(
        title=f"The error budget of the objective {seen.name} {spent}.",
        evidence=f"Promised are {seen.share:.3%} of {what}{told}; in {seen.days} days {attained} "
        f"of {seen.total:,} kept it{p95}. Burn rates: {rates}.",
        remedy="Look at the slow statements and failed jobs of that time (db.slow_statements, "
        "jobs.failures, the log); the finding goes when the windows are better again. Change "
        "MUNIMENT_OBJECTIVES if too much was promised.",
        command="muniment objectives",
    )


checks: list[DoctorCheck] = [objectives]
