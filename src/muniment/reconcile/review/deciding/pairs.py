"""Pairs that reviewers put together by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from muniment.db import UnitOfWork, load_statements
from muniment.reconcile.match_ids import in_order, match_id
from muniment.reconcile.review.deciding.asked import Asked, AskedPair
from muniment.reconcile.review.errors import InvalidDecisions
from muniment.reconcile.review.schemas import DecisionAction

_statements = load_statements("muniment.reconcile.review.deciding")

_NEW = 1
"""Version of a match that was just made."""
_NEVER = -1
"""Version that no match has: whoever puts a pair together by hand that a run has found has not
seen what the run, or somebody else, says of it."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The datasets whose records are matched: left and right, or one with itself."""

    dataset_ids: list[UUID]
    ledger: bool

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Sides:
        """Read what the statement `sides` selects."""
        return cls(row["dataset_ids"] or [], row["kind"] == "ledger")


async def keep_pairs(
    work: UnitOfWork, reconciliation_id: UUID, asked: Sequence[Asked | AskedPair], sides: Sides
) -> list[Asked]:
    """Make matches of pairs that no run has found, and return all decisions as upon matches.

    Raises:
        InvalidDecisions: a record is not there, or is of the wrong side.
    """
    pairs = [each for each in asked if isinstance(each, AskedPair)]
    if not pairs:
        return [each for each in asked if isinstance(each, Asked)]
    if not sides.dataset_ids:
        raise InvalidDecisions("The reconciliation has no records.")
    placed = [_placed(reconciliation_id, pair, sides) for pair in pairs]
    await _require_records(work, pairs, placed, sides)
    rows = await _statements.insert_pairs(
        work,
        reconciliation_id=reconciliation_id,
        match_ids=[made for made, _, _ in placed],
        left_record_ids=[left for _, left, _ in placed],
        right_record_ids=[right for _, _, right in placed],
        left_dataset_id=sides.dataset_ids[0],
        right_dataset_id=sides.dataset_ids[-1],
        ledger=sides.ledger,
    )
    new = {row["match_id"] for row in rows}
    ids = iter(made for made, _, _ in placed)
    found = []
    for each in asked:
        if isinstance(each, Asked):
            found.append(each)
        else:
            made = next(ids)
            version = _NEW if made in new else _NEVER
            found.append(Asked(made, DecisionAction.ACCEPT, version, each.note, each.place))
    _require_once(found)
    return found


def _placed(reconciliation_id: UUID, pair: AskedPair, sides: Sides) -> tuple[UUID, UUID, UUID]:
    left, right = pair.left_record_id, pair.right_record_id
    if len(sides.dataset_ids) == 1:
        left, right = in_order(left, right)
    return match_id(reconciliation_id, left, right), left, right


async def _require_records(
    work: UnitOfWork,
    pairs: Sequence[AskedPair],
    placed: Sequence[tuple[UUID, UUID, UUID]],
    sides: Sides,
) -> None:
    faults = []
    for name, dataset_id, records in (
        ("left", sides.dataset_ids[0], [left for _, left, _ in placed]),
        ("right", sides.dataset_ids[-1], [right for _, _, right in placed]),
    ):
        rows = await _statements.missing_records(work, record_ids=records, dataset_ids=[dataset_id])
        missing = {row["record_id"] for row in rows}
        faults += [
            {
                "pointer": f"#/decisions/{pair.place}/{name}_record_id",
                "detail": f"The {name} dataset has no such record.",
            }
            for pair, record_id in zip(pairs, records, strict=True)
            if record_id in missing
        ]
    if faults:
        raise InvalidDecisions(errors=faults)


def _require_once(found: Sequence[Asked]) -> None:
    seen = set()
    for each in found:
        if each.match_id in seen:
            fault = {"detail": "The request decides upon this twice."}
            raise InvalidDecisions(errors=[{"pointer": f"#/decisions/{each.place}"} | fault])
        seen.add(each.match_id)
