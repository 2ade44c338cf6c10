"""The rules of a reconciliation: shown, and changed if they name columns that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from muniment.db import UnitOfWork, load_statements
from muniment.reconcile.reconciliations.errors import InvalidRules, RulesChanged
from muniment.reconcile.reconciliations.library import find_reconciliation, hold_reconciliation
from muniment.reconcile.reconciliations.schemas import ChangeRules, RulesShown
from muniment.reconcile.rules import Rules
from muniment.tenancy.audit.record import record
from muniment.tenancy.permissions import Action

_statements = load_statements("muniment.reconcile.reconciliations")

Columns = Mapping[str, frozenset[str]]
"""Names of the columns of the loaded datasets, by side."""


def rules_of(row: asyncpg.Record | Mapping[str, Any]) -> Rules:
    """Return the rules of a row that `find_reconciliation` gave."""
    return msgspec.convert(row["rules"], Rules)


async def show_rules(work: UnitOfWork, reconciliation_id: UUID) -> RulesShown:
    """Return the rules that the next run goes by.

    Raises:
        ReconciliationNotFound: there is none.
    """
    row = await find_reconciliation(work, reconciliation_id)
    return RulesShown(row["rules_version"], rules_of(row))


async def put_rules(work: UnitOfWork, reconciliation_id: UUID, wanted: ChangeRules) -> RulesShown:
    """Set the rules that later runs go by.

    Raises:
        ReconciliationNotFound, NotAllowed: see `hold_reconciliation`.
        RulesChanged: they are not as the caller has read them.
        InvalidRules: they name columns that the loaded datasets do not have.
    """
    row = await hold_reconciliation(work, reconciliation_id, Action.RECONCILIATIONS_WRITE)
    if wanted.version not in (None, row["rules_version"]):
        raise RulesChanged
    rows = await _statements.columns_of_datasets(work, reconciliation_id=reconciliation_id)
    unknown = list(_unknown(wanted.rules, {one["side"]: frozenset(one["names"]) for one in rows}))
    if unknown:
        raise InvalidRules(unknown[0]["detail"], errors=unknown)
    before, after = row["rules"], msgspec.to_builtins(wanted.rules)
    if rules_of(row) == wanted.rules:
        return RulesShown(row["rules_version"], wanted.rules)
    version: int = await _statements.put_rules(
        work, reconciliation_id=reconciliation_id, rules=after
    )
    await record(
        work,
        "reconciliation.changed",
        target_type="reconciliation",
        target_id=str(reconciliation_id),
        before={"rules": {name: before.get(name) for name in _differing(before, after)}},
        after={"rules": {name: after[name] for name in _differing(before, after)}},
    )
    return RulesShown(version, wanted.rules)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    # A trained model is megabytes of numbers that tell nobody anything.
    return [name for name in after if before.get(name) != after[name] and name != "splink"]


def _unknown(rules: Rules, columns: Columns) -> Iterator[dict[str, Any]]:
    """Yield a fault for each column that is named and not there; what is not loaded may have it."""
    left = columns.get("left")
    # One dataset alone is compared with itself.
    right = columns.get("right", left)
    for at, pair in enumerate(rules.compare or []):
        yield from _missing(left, pair.left, "left", f"/rules/compare/{at}/left")
        yield from _missing(right, pair.right, "right", f"/rules/compare/{at}/right")
    for at, key in enumerate(rules.keys):
        for name in key.left:
            yield from _missing(left, name, "left", f"/rules/keys/{at}/left")
        for name in key.right:
            yield from _missing(right, name, "right", f"/rules/keys/{at}/right")
    if left is None or right is None:
        return
    golden = left | right
    for name in rules.survivorship.columns:
        yield from _missing(golden, name, "left and right", "/rules/survivorship/columns")
    if rules.survivorship.recency is not None:
        recency = rules.survivorship.recency
        yield from _missing(golden, recency, "left and right", "/rules/survivorship/recency")


def _missing(
    known: frozenset[str] | None, name: str, side: str, pointer: str
) -> Iterator[dict[str, Any]]:
    if known is None or name in known:
        return
    there = ", ".join(sorted(known)[:20])
    detail = f"There is no column {name!r} on the side {side}; there are: {there}."
    yield {"pointer": pointer, "detail": detail}
