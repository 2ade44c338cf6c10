"""Matches, decisions and the report of a reconciliation."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation

from muniment.db import UnitOfWork
from muniment.reconcile.review import matches
from muniment.reconcile.review.deciding.asked import require_one_way
from muniment.reconcile.review.deciding.decide import decide
from muniment.reconcile.review.deciding.schemas import Decide, Decided
from muniment.reconcile.review.matches import MatchFilter
from muniment.reconcile.review.report.report import make_report
from muniment.reconcile.review.report.schemas import Report
from muniment.reconcile.review.schemas import (
    DecisionPage,
    MatchDetail,
    MatchPage,
    Side,
    Status,
    UnmatchedPage,
)
from muniment.tenancy.permissions import Action

Work = NamedDependency[SkipValidation[UnitOfWork]]
Secret = NamedDependency[SkipValidation[bytes]]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")]
Confidence = Annotated[float | None, QueryParameter(ge=0, le=1)]

_TAGS = ["reconciliations"]
_OF = "/v1/reconciliations/{reconciliation_id:uuid}"


@get(
    f"{_OF}/matches",
    action=Action.RECONCILIATIONS_READ,
    reads="replica",
    tags=_TAGS,
    summary="List matches, the surest first",
)
async def list_matches(
    *,
    uow: Work,
    cursor_secret: Secret,
    reconciliation_id: FromPath[UUID],
    status: FromQuery[Status | None] = None,
    min_confidence: Confidence = None,
    max_confidence: Confidence = None,
    stage: Annotated[str | None, QueryParameter(min_length=1, max_length=100)] = None,
    record_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> MatchPage:
    """Filters combine; all are optional. Each match tells why it is one, and how sure that is."""
    statuses = tuple(Status) if status is None else (status,)
    wanted = MatchFilter(statuses, min_confidence, max_confidence, stage, record_id)
    return await matches.list_matches(
        uow, reconciliation_id, wanted, limit=limit, cursor=cursor, secret=cursor_secret
    )


@get(
    f"{_OF}/matches/{{match_id:uuid}}",
    action=Action.RECONCILIATIONS_READ,
    tags=_TAGS,
    summary="Show a match",
)
async def get_match(
    uow: Work, reconciliation_id: FromPath[UUID], match_id: FromPath[UUID]
) -> MatchDetail:
    """With both records as they were, other matches of them, and what was decided."""
    return await matches.match_detail(uow, reconciliation_id, match_id)


@get(
    f"{_OF}/unmatched",
    action=Action.RECONCILIATIONS_READ,
    reads="replica",
    tags=_TAGS,
    summary="List records without a match",
)
async def list_unmatched(
    *,
    uow: Work,
    cursor_secret: Secret,
    reconciliation_id: FromPath[UUID],
    side: FromQuery[Side] = Side.LEFT,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> UnmatchedPage:
    """Those in no match that holds (matched or accepted), in the order of their dataset.

    A page looks at 20,000 records at most, so it may hold fewer than `limit` and still not be
    the last.
    """
    return await matches.list_unmatched(
        uow, reconciliation_id, side, limit=limit, cursor=cursor, secret=cursor_secret
    )


@post(
    f"{_OF}/decisions",
    action=Action.DECISIONS_WRITE,
    tags=_TAGS,
    summary="Decide upon matches",
    status_code=200,
)
async def make_decisions(
    uow: Work, reconciliation_id: FromPath[UUID], data: JSONBody[Decide]
) -> Decided:
    """Accept, reject, unmatch or reset up to 1,000 matches, all or none.

    Each decision names the `version` of the match that it is made upon. If somebody else has
    decided meanwhile, the answer is 409 `decision_conflict`: nothing was decided, and `errors`
    tells how those matches are now. Two records that no run has put together are accepted by
    their ids. A `filter` with an `action` decides upon all matches that it means, 1,000 in a
    request; `more` tells whether to send the same again.
    """
    require_one_way(data)
    return await decide(uow, reconciliation_id, data)


@get(
    f"{_OF}/decisions",
    action=Action.RECONCILIATIONS_READ,
    reads="replica",
    tags=_TAGS,
    summary="List decisions, newest first",
)
async def list_decisions(
    *,
    uow: Work,
    cursor_secret: Secret,
    reconciliation_id: FromPath[UUID],
    match_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DecisionPage:
    """Of all matches, or of one. Decisions are never changed: `reset` is another one."""
    return await matches.list_decisions(
        uow, reconciliation_id, match_id, limit=limit, cursor=cursor, secret=cursor_secret
    )


@get(
    f"{_OF}/report",
    action=Action.RECONCILIATIONS_READ,
    reads="replica",
    tags=_TAGS,
    summary="Show the report of a reconciliation",
)
async def get_report(
    uow: Work,
    reconciliation_id: FromPath[UUID],
    as_of: Annotated[
        date | None, QueryParameter(description="Day that ages are counted to.")
    ] = None,
) -> Report:
    """Counts of matches and records, sums by currency, differences, and the age of what is open."""
    return await make_report(uow, reconciliation_id, as_of)


handlers = [
    list_matches,
    get_match,
    list_unmatched,
    make_decisions,
    list_decisions,
    get_report,
]
