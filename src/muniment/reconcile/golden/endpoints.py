"""The golden records of a reconciliation."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation

from muniment.db import UnitOfWork
from muniment.reconcile.golden import library
from muniment.reconcile.golden.schemas import ChangeGoldenRecord, GoldenRecord, GoldenRecordPage
from muniment.tenancy.permissions import Action

Work = NamedDependency[SkipValidation[UnitOfWork]]

_TAGS = ["reconciliations"]
_OF = "/v1/reconciliations/{reconciliation_id:uuid}/golden"


@get(
    _OF,
    action=Action.RECONCILIATIONS_READ,
    reads="replica",
    tags=_TAGS,
    summary="List golden records",
)
async def list_golden_records(
    *,
    uow: Work,
    cursor_secret: NamedDependency[SkipValidation[bytes]],
    reconciliation_id: FromPath[UUID],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    cursor: Annotated[
        str | None, QueryParameter(description="`next_cursor` of the page before.")
    ] = None,
) -> GoldenRecordPage:
    """One of each cluster, put together by the rules of survivorship and by hand.

    Two datasets have one set of columns: what the last run compared is one column, under its
    left name.
    """
    return await library.list_golden_records(
        uow, reconciliation_id, limit=limit, cursor=cursor, secret=cursor_secret
    )


@get(
    f"{_OF}/{{cluster_id:uuid}}",
    action=Action.RECONCILIATIONS_READ,
    tags=_TAGS,
    summary="Show a golden record",
)
async def get_golden_record(
    uow: Work, reconciliation_id: FromPath[UUID], cluster_id: FromPath[UUID]
) -> GoldenRecord:
    """With the records that it is made of, and which of them each value is from."""
    return await library.find_golden_record(uow, reconciliation_id, cluster_id)


@patch(
    f"{_OF}/{{cluster_id:uuid}}",
    action=Action.DECISIONS_WRITE,
    tags=_TAGS,
    summary="Set values of a golden record",
)
async def change_golden_record(
    uow: Work,
    reconciliation_id: FromPath[UUID],
    cluster_id: FromPath[UUID],
    data: JSONBody[ChangeGoldenRecord],
) -> GoldenRecord:
    """What is set by hand holds until it is reset, whatever the rules say and runs find."""
    return await library.change_golden_record(uow, reconciliation_id, cluster_id, data)


handlers = [list_golden_records, get_golden_record, change_golden_record]
