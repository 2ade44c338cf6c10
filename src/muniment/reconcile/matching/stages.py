"""Which stages a reconciliation goes through: money by the ledger stages, records by linkage."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from muniment.reconcile.columns import Dataset, Role
from muniment.reconcile.matching.given import Earlier, Given
from muniment.reconcile.matching.implied import Completed
from muniment.reconcile.matching.ledger.reconcile import reconcile_ledgers
from muniment.reconcile.matching.linkage.duplicates import find_duplicates
from muniment.reconcile.matching.linkage.link import link
from muniment.reconcile.matching.match import Progress
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.matching.splink_model.backends import Backend
from muniment.reconcile.matching.splink_model.run import find_by_splink
from muniment.reconcile.rules import Engine, Rules

_VARIED: Final = 0.2
"""Share of an amount column's values that are different, from which they tell records apart.
Below, they are price tags: every track costs the same."""


def find_matches(
    left: Dataset,
    right: Dataset | None = None,
    evidence: Dataset | None = None,
    *,
    rules: Rules = Rules(),
    given: Given = Given(),
    earlier: Earlier | None = None,
    progress: Progress | None = None,
    backend: Backend = Backend.DUCKDB,
    memory_mb: int | None = None,
) -> Outcome:
    """Return the pairs of records that belong together, by the stages that suit the data.

    Args:
        left: payments, or any records; alone, it is searched for duplicates.
        right: invoices, or any records.
        evidence: names records of both sides; a reason, never the truth.
        rules: what somebody wants otherwise than usual.
        given: decisions of people.
        earlier: compare only what is new since the last run.
        progress: told the name of the step that begins and the share of the work done, 0 to 1.
        backend: what runs a model of Splink, where the rules ask for one.
        memory_mb: that it may take for that.

    Raises:
        NoSharedColumns: there is no column to compare.
    """
    money = right is not None and are_ledgers(left, right, evidence)
    if rules.engine is Engine.SPLINK and not money:
        found = find_by_splink(
            left,
            right,
            rules=rules,
            given=given,
            backend=backend,
            memory_mb=memory_mb,
            progress=progress,
        )
        return replace(found, matches=Completed(found.matches, found.clusters))
    if right is None:
        found = find_duplicates(left, rules=rules, given=given, earlier=earlier, progress=progress)
        return replace(found, matches=Completed(found.matches, found.clusters))
    if money:
        return reconcile_ledgers(
            left, right, evidence, rules=rules, given=given, earlier=earlier, progress=progress
        )
    return link(left, right, rules=rules, given=given, earlier=earlier, progress=progress)


def are_ledgers(left: Dataset, right: Dataset, evidence: Dataset | None = None) -> bool:
    """Return whether both datasets list movements of money, not things that have a price.

    A movement has a day and an amount, and the amounts differ. What the ledger stages leave over
    is not handed to linkage: two movements of different amounts are not the same for being
    described alike.
    """
    return all(
        (bool(dataset.of_role(Role.date)) or evidence is not None)
        and any(c.uniqueness >= _VARIED for c in dataset.of_role(Role.amount))
        for dataset in (left, right)
    )
