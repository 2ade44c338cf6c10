"""Matches of a reconciliation, and the records that have none."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from muniment.db import UnitOfWork, load_statements
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.reconcile.reconciliations.errors import ReconciliationNotFound
from muniment.reconcile.review.errors import MatchNotFound
from muniment.reconcile.review.schemas import (
    Decision,
    DecisionPage,
    Match,
    MatchDetail,
    MatchPage,
    Side,
    Status,
    UnmatchedPage,
    UnmatchedRecord,
)

statements = load_statements("muniment.reconcile.review")

LAST_ID = UUID(int=2**128 - 1)
"""A listing that goes backwards begins here."""

_MATCHES, _DECISIONS, _UNMATCHED = "matches", "decisions", "unmatched"
_WINDOW = 20_000
"""Records that a page of those without a match looks at: about 60 ms."""
_COMPETING = 20
_HISTORY = 20


class MatchFilter(msgspec.Struct, frozen=True):
    """Which matches are meant; what is None does not matter."""

    statuses: tuple[Status, ...] = tuple(Status)
    min_confidence: float | None = None
    max_confidence: float | None = None
    stage: str | None = None
    record_id: UUID | None = None

    @property
    def start(self) -> tuple[float, UUID]:
        """Confidence and id that a listing, which goes downwards, begins below."""
        return (1.0 if self.max_confidence is None else self.max_confidence, LAST_ID)


async def reconciliation_in_view(work: UnitOfWork, reconciliation_id: UUID) -> asyncpg.Record:
    """Return where a reconciliation belongs, its rules and datasets.

    Raises:
        ReconciliationNotFound: the organization (or the caller's workspace) has none such.
    """
    row: asyncpg.Record | None = await statements.reconciliation_in_view(
        work, reconciliation_id=reconciliation_id, workspace_id=work.scope.workspace_id
    )
    if row is None:
        raise ReconciliationNotFound
    return row


async def list_matches(
    work: UnitOfWork,
    reconciliation_id: UUID,
    wanted: MatchFilter,
    *,
    limit: int,
    cursor: str | None,
    secret: bytes,
) -> MatchPage:
    """Return a page of matches, the surest first, in two statements.

    Raises:
        ReconciliationNotFound: see `reconciliation_in_view`.
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    found = await reconciliation_in_view(work, reconciliation_id)
    start = wanted.start
    if cursor is not None:
        start = decode_cursor(secret, _MATCHES, cursor, tuple[float, UUID])
    rows = await matches_below(work, reconciliation_id, found, wanted, start=start, limit=limit + 1)
    items = [Match.from_row(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return MatchPage(items, None)
    last = (items[-1].confidence, items[-1].id)
    return MatchPage(items, encode_cursor(secret, _MATCHES, last))


async def matches_below(
    work: UnitOfWork,
    reconciliation_id: UUID,
    reconciliation: asyncpg.Record,
    wanted: MatchFilter,
    *,
    start: tuple[float, UUID],
    limit: int,
) -> list[asyncpg.Record]:
    """Return the next matches below a confidence and id, in one statement."""
    run = statements.list_matches
    if wanted.record_id is not None:
        run = statements.list_matches_of_record
    elif wanted.stage is not None:
        run = statements.list_matches_by_stage
    rows: list[asyncpg.Record] = await run(
        work,
        reconciliation_id=reconciliation_id,
        left_dataset_id=reconciliation["left_dataset_id"],
        statuses=list(wanted.statuses),
        stage=wanted.stage,
        record_id=wanted.record_id,
        confidence=start[0],
        match_id=start[1],
        min_confidence=wanted.min_confidence or 0.0,
        limit=limit,
    )
    return rows


async def match_detail(work: UnitOfWork, reconciliation_id: UUID, match_id: UUID) -> MatchDetail:
    """Return one match with its records, competitors and history, in four statements.

    Raises:
        ReconciliationNotFound: see `reconciliation_in_view`.
        MatchNotFound: it has no such match.
    """
    found = await reconciliation_in_view(work, reconciliation_id)
    row = await statements.get_match(
        work,
        reconciliation_id=reconciliation_id,
        match_id=match_id,
        left_dataset_id=found["left_dataset_id"],
        right_dataset_id=found["right_dataset_id"],
    )
    if row is None:
        raise MatchNotFound
    competing = await statements.list_competing_matches(
        work,
        reconciliation_id=reconciliation_id,
        match_id=match_id,
        left_dataset_id=found["left_dataset_id"],
        record_ids=[row["left_record_id"], row["right_record_id"]],
        limit=_COMPETING,
    )
    history = await statements.list_decisions_of_match(
        work,
        reconciliation_id=reconciliation_id,
        match_id=match_id,
        before=LAST_ID,
        limit=_HISTORY,
    )
    return MatchDetail.of(
        row,
        [Match.from_row(other) for other in competing],
        [Decision.from_row(entry) for entry in history],
    )


async def list_unmatched(
    work: UnitOfWork,
    reconciliation_id: UUID,
    side: Side,
    *,
    limit: int,
    cursor: str | None,
    secret: bytes,
) -> UnmatchedPage:
    """Return records of a side that are in no match that holds, in two statements.

    Raises:
        ReconciliationNotFound: see `reconciliation_in_view`.
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    found = await reconciliation_in_view(work, reconciliation_id)
    after = 0 if cursor is None else decode_cursor(secret, f"{_UNMATCHED}.{side}", cursor, int)
    rows, following = await unmatched_after(
        work, reconciliation_id, found, side, after=after, limit=limit
    )
    items = [UnmatchedRecord.from_row(row) for row in rows]
    if following is None:
        return UnmatchedPage(items, None)
    return UnmatchedPage(items, encode_cursor(secret, f"{_UNMATCHED}.{side}", following))


async def unmatched_after(
    work: UnitOfWork,
    reconciliation_id: UUID,
    reconciliation: asyncpg.Record,
    side: Side,
    *,
    after: int,
    limit: int,
) -> tuple[list[asyncpg.Record], int | None]:
    """Return unmatched records after a row, and the row after which more may follow."""
    dataset_id = reconciliation[f"{side}_dataset_id"]
    if dataset_id is None:
        return [], None
    until = after + _WINDOW
    rows = await statements.list_unmatched(
        work,
        reconciliation_id=reconciliation_id,
        dataset_id=dataset_id,
        after=after,
        until=until,
        limit=limit + 1,
    )
    if len(rows) > limit:
        return rows[:limit], rows[limit - 1]["row"]
    return rows, until if until < reconciliation[f"{side}_rows"] else None


async def list_decisions(
    work: UnitOfWork,
    reconciliation_id: UUID,
    match_id: UUID | None,
    *,
    limit: int,
    cursor: str | None,
    secret: bytes,
) -> DecisionPage:
    """Return a page of what was decided, newest first, in two statements.

    Raises:
        ReconciliationNotFound: see `reconciliation_in_view`.
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    await reconciliation_in_view(work, reconciliation_id)
    run: Any = statements.list_decisions
    if match_id is not None:
        run = statements.list_decisions_of_match
    rows = await run(
        work,
        reconciliation_id=reconciliation_id,
        match_id=match_id,
        before=LAST_ID if cursor is None else decode_cursor(secret, _DECISIONS, cursor, UUID),
        limit=limit + 1,
    )
    items = [Decision.from_row(row) for row in rows[:limit]]
    more = len(rows) > limit
    return DecisionPage(items, encode_cursor(secret, _DECISIONS, items[-1].id) if more else None)
