"""Planning in a process of its own: what a run would compare, and what it would cost."""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.processes.reporter import Reporter
from muniment.reconcile.datasets.load_process import Failure
from muniment.reconcile.datasets.stored import StoredDataset, storable
from muniment.reconcile.loading.errors import DatasetUnreadable
from muniment.reconcile.matching.linkage.estimate import estimate
from muniment.reconcile.rules import Rules


class ToPlan(msgspec.Struct, frozen=True):
    """What would be compared."""

    left: StoredDataset
    right: StoredDataset | None
    rules: Rules


class Planned(msgspec.Struct, frozen=True):
    """What it would cost, or why it cannot be compared."""

    failure: Failure | None = None
    plan: dict[str, Any] = {}


def plan(to_plan: ToPlan, report: Reporter) -> Planned:
    """Estimate the pairs that a run would compare, its time and its memory; compares nothing."""
    right = to_plan.right
    report(0, 1, "plans")
    try:
        found = estimate(
            to_plan.left.opened(), None if right is None else right.opened(), to_plan.rules
        )
    except DatasetUnreadable as error:
        return Planned(Failure(error.code, error.detail, storable(error.errors)))
    report(1, 1, "plans")
    return Planned(plan=storable(msgspec.to_builtins(found)))
