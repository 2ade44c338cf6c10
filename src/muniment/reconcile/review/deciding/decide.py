"""Take decisions of reviewers: each is kept, or all of the request are refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from muniment.db import UnitOfWork, load_statements, new_id
from muniment.reconcile.reconciliations.library import hold_reconciliation
from muniment.reconcile.review.deciding.asked import Asked, asked_of
from muniment.reconcile.review.deciding.pairs import Sides, keep_pairs
from muniment.reconcile.review.deciding.regroup import regroup
from muniment.reconcile.review.deciding.schemas import (
    AT_ONCE,
    Decide,
    Decided,
    DecidedMatch,
    Meant,
)
from muniment.reconcile.review.errors import DecisionConflict
from muniment.reconcile.review.schemas import DecisionAction, Status
from muniment.tenancy.audit.record import record
from muniment.tenancy.permissions import Action

_statements = load_statements("muniment.reconcile.review.deciding")

_HOLDING = {Status.MATCHED, Status.ACCEPTED}
_TOLD = 20


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The decisions of a request, by whatever way they were named."""

    asked: list[Asked]
    more: bool = False


async def decide(work: UnitOfWork, reconciliation_id: UUID, wanted: Decide) -> Decided:
    """Decide upon matches, all or none; clusters are right when this returns.

    Deciders and runs of one reconciliation come one after the other: a cluster may hang together
    by matches that several decide upon at once.

    Raises:
        ReconciliationNotFound: the organization (or the caller's workspace) has none such.
        NotAllowed: the caller may only read in its workspace.
        InvalidDecisions: the request names a match twice, or both or neither of match and pair,
            or records that are not there.
        DecisionConflict: a match has another version by now, or is gone.
    """
    named = None if wanted.decisions is None else asked_of(wanted.decisions)
    await hold_reconciliation(work, reconciliation_id, Action.DECISIONS_WRITE)
    row = await _statements.sides(work, reconciliation_id=reconciliation_id)
    sides = Sides.from_row(row)
    if named is not None:
        chosen = _Chosen(await keep_pairs(work, reconciliation_id, named, sides))
    else:
        chosen = await _meant(work, reconciliation_id, wanted)
    if not chosen.asked:
        return Decided(0, [], more=False)
    rows = await _statements.decide(
        work,
        reconciliation_id=reconciliation_id,
        match_ids=[each.match_id for each in chosen.asked],
        actions=[each.action.value for each in chosen.asked],
        decisions=[each.action.decision for each in chosen.asked],
        versions=[each.version for each in chosen.asked],
        notes=[each.note for each in chosen.asked],
        decision_ids=[new_id() for _ in chosen.asked],
        actor=work.scope.actor,
    )
    _refuse_conflicts(chosen.asked, rows)
    concerned = {
        record_id
        for row in rows
        if _bearing(row["status_before"]) != _bearing(row["status"])
        for record_id in (row["left_record_id"], row["right_record_id"])
    }
    if concerned:
        await regroup(work, reconciliation_id, sides.dataset_ids, concerned)
    await _tell(work, reconciliation_id, chosen.asked, wanted.filter)
    matches = [DecidedMatch(row["match_id"], Status(row["status"]), row["version"]) for row in rows]
    return Decided(len(matches), matches, chosen.more)


def _bearing(status: str) -> str:
    """Return what a status means for clusters: it joins, keeps apart, or does neither."""
    if status in _HOLDING:
        return "joins"
    return "parts" if status == Status.REJECTED else ""


async def _meant(work: UnitOfWork, reconciliation_id: UUID, wanted: Decide) -> _Chosen:
    """Return the decisions that a filter stands for, as the matches are now."""
    assert wanted.filter is not None
    assert wanted.action is not None
    meant, action = wanted.filter, wanted.action
    run = _statements.pick_matches if meant.stage is None else _statements.pick_matches_by_stage
    rows = await run(
        work,
        reconciliation_id=reconciliation_id,
        statuses=_statuses(meant, action),
        stage=meant.stage,
        min_confidence=meant.min_confidence or 0.0,
        max_confidence=1.0 if meant.max_confidence is None else meant.max_confidence,
        undecided=action is not DecisionAction.RESET,
        limit=AT_ONCE + 1,
    )
    asked = [
        Asked(row["match_id"], action, row["version"], wanted.note, at)
        for at, row in enumerate(rows[:AT_ONCE])
    ]
    return _Chosen(asked, len(rows) > AT_ONCE)


def _statuses(meant: Meant, action: DecisionAction) -> list[str]:
    """Return the statuses that are meant, but what the action leads to: that is done."""
    if meant.status is not None:
        wanted = [meant.status]
    elif action is DecisionAction.RESET:
        wanted = [Status.ACCEPTED, Status.REJECTED, Status.UNMATCHED]
    else:
        wanted = [Status.MATCHED, Status.REVIEW]
    return [status for status in wanted if status != action.decision]


def _refuse_conflicts(asked: list[Asked], rows: list[asyncpg.Record]) -> None:
    found = {row["match_id"]: row for row in rows}
    errors: list[dict[str, Any]] = []
    for each in asked:
        row = found[each.match_id]
        if row["version"] is not None:
            continue
        fault: dict[str, Any] = {
            "pointer": f"#/decisions/{each.place}",
            "match_id": str(each.match_id),
        }
        if row["version_before"] is None:
            fault["detail"] = "There is no such match (any more)."
        else:
            fault["detail"] = "The match has changed since it was read."
            fault["status"] = row["status_before"]
            fault["version"] = row["version_before"]
        errors.append(fault)
    if errors:
        raise DecisionConflict(errors=errors)


async def _tell(
    work: UnitOfWork, reconciliation_id: UUID, asked: list[Asked], meant: Meant | None
) -> None:
    counts: dict[str, Any] = {}
    for each in asked:
        counts[each.action.value] = counts.get(each.action.value, 0) + 1
    told = {"decisions": counts, "match_ids": [str(each.match_id) for each in asked[:_TOLD]]}
    if meant is not None:
        given = {name: getattr(meant, name) for name in meant.__struct_fields__}
        told["filter"] = {name: value for name, value in given.items() if value is not None}
    await record(
        work,
        "match.decided",
        target_type="reconciliation",
        target_id=str(reconciliation_id),
        after=told,
    )
