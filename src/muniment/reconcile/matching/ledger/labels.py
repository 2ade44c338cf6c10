"""Which stage a hypothesis belongs to, and whether the stages that are on allow it.

The stages are a ladder: what an earlier one finds a later one would have found too, except sums.
So with `exact` off, an equal amount of the same day is found within the tolerance; with that off
too, by likeness. A hypothesis that no stage allows is not made, and teaches nothing.
"""

from __future__ import annotations

import math

import numpy as np

from muniment.reconcile.matching.ledger.amounts import Relation
from muniment.reconcile.matching.ledger.comparison import Comparison
from muniment.reconcile.matching.ledger.hypotheses import Hypothesis, Part
from muniment.reconcile.matching.ledger.references import Likeness
from muniment.reconcile.rules import Assignment, Rules

SUMS = ("group", "gathered", "several")


def stage_of(part: Part, whole: Hypothesis, comparison: Comparison) -> str | None:
    """Return the name of the first stage that finds a match; None if all of them are off."""
    stages = comparison.rules.stages
    if stages.evidence and (
        whole.kind == "lines" or (part.claim is not None and part.claim > Likeness.none)
    ):
        return "evidence"
    if whole.kind in SUMS:
        return "grouped" if stages.grouped else None
    features = comparison.features(part.i, part.j)
    equal = part.relation is Relation.equal
    if stages.exact and equal and (features.days == 0 or features.mention is Likeness.same):
        return "exact"
    if stages.tolerance and _near_enough(part, comparison):
        return "tolerance"
    return "probabilistic" if stages.probabilistic else None


def _near_enough(part: Part, comparison: Comparison) -> bool:
    """Whether amounts and days are within what is tolerated, or usual where nothing is said."""
    tolerance = comparison.rules.tolerance
    if tolerance is None:
        return part.relation in (Relation.equal, Relation.slight, Relation.near)
    one, other = int(comparison.left.amounts[part.i]), int(comparison.right.amounts[part.j])
    gap = abs(one - other)
    percent = tolerance.percent / 100.0 * max(abs(one), abs(other))
    units = int(tolerance.amount.scaleb(comparison.scale))
    days = comparison.days(part.i, part.j)
    late = not math.isnan(days) and abs(days) > tolerance.days
    return one * other > 0 and gap <= max(units, percent) and not late


def allowed(hypotheses: list[Hypothesis], comparison: Comparison) -> list[Hypothesis]:
    """Return the hypotheses that the rules allow."""
    rules = comparison.rules
    usual = Rules()
    if (rules.stages, rules.assignment, rules.grouping) == (
        usual.stages, usual.assignment, usual.grouping,
    ):  # fmt: skip
        return hypotheses
    return [h for h in hypotheses if _allowed(h, comparison)]


def _bounded(hypothesis: Hypothesis, comparison: Comparison) -> bool:
    """Whether sums are sought and this one is within the bounds of the rules."""
    grouping = comparison.rules.grouping
    if not comparison.rules.stages.grouped:
        return False
    if max(len(hypothesis.lefts), len(hypothesis.rights)) > grouping.most:
        return False
    if grouping.days is None:
        return True
    for members, days in (
        (hypothesis.lefts, comparison.left_days),
        (hypothesis.rights, comparison.right_days),
    ):
        known = days[list(members)]
        known = known[~np.isnan(known)]
        if len(known) > 1 and np.ptp(known) > grouping.days:
            return False
    return True


def _allowed(hypothesis: Hypothesis, comparison: Comparison) -> bool:
    if hypothesis.kind == "offset":
        return comparison.rules.stages.grouped
    if comparison.rules.assignment is Assignment.ONE_TO_ONE and len(hypothesis.parts) > 1:
        return False
    if hypothesis.kind in SUMS and not _bounded(hypothesis, comparison):
        return False
    return all(stage_of(part, hypothesis, comparison) is not None for part in hypothesis.parts)
