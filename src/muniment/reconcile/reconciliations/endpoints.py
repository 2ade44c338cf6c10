"""The reconciliations of the caller's organization, and their rules."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation

from muniment.db import UnitOfWork
from muniment.reconcile.reconciliations import library, rules_change
from muniment.reconcile.reconciliations.schemas import (
    ChangeReconciliation,
    ChangeRules,
    CreateReconciliation,
    Reconciliation,
    ReconciliationPage,
    RulesShown,
)
from muniment.tenancy.permissions import Action

Work = NamedDependency[SkipValidation[UnitOfWork]]

_TAGS = ["reconciliations"]


@post(
    "/v1/reconciliations",
    action=Action.RECONCILIATIONS_WRITE,
    tags=_TAGS,
    summary="Create a reconciliation",
    status_code=201,
    responses={
        200: ResponseSpec(
            Reconciliation,
            description="The workspace has one of this name.",
            generate_examples=False,
        )
    },
)
async def create_reconciliation(
    uow: Work, data: JSONBody[CreateReconciliation]
) -> Response[Reconciliation]:
    """Of a name that the workspace has already, that one is returned as it is, with 200."""
    made, fresh = await library.create_reconciliation(uow, data)
    headers = {"Location": f"/v1/reconciliations/{made.id}"}
    return Response(made, status_code=201 if fresh else 200, headers=headers)


@get(
    "/v1/reconciliations",
    action=Action.RECONCILIATIONS_READ,
    reads="replica",
    tags=_TAGS,
    summary="List reconciliations, newest first",
)
async def list_reconciliations(
    *,
    uow: Work,
    cursor_secret: NamedDependency[SkipValidation[bytes]],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    cursor: Annotated[
        str | None, QueryParameter(description="`next_cursor` of the page before.")
    ] = None,
) -> ReconciliationPage:
    """Each with its datasets and its last run."""
    return await library.list_reconciliations(uow, limit=limit, cursor=cursor, secret=cursor_secret)


@get(
    "/v1/reconciliations/{reconciliation_id:uuid}",
    action=Action.RECONCILIATIONS_READ,
    tags=_TAGS,
    summary="Show a reconciliation",
)
async def get_reconciliation(uow: Work, reconciliation_id: FromPath[UUID]) -> Reconciliation:
    """With its datasets and its last run."""
    return await library.show_reconciliation(uow, reconciliation_id)


@patch(
    "/v1/reconciliations/{reconciliation_id:uuid}",
    action=Action.RECONCILIATIONS_WRITE,
    tags=_TAGS,
    summary="Rename a reconciliation",
)
async def change_reconciliation(
    uow: Work, reconciliation_id: FromPath[UUID], data: JSONBody[ChangeReconciliation]
) -> Reconciliation:
    """Names are unique in a workspace."""
    return await library.rename_reconciliation(uow, reconciliation_id, data.name)


@delete(
    "/v1/reconciliations/{reconciliation_id:uuid}",
    action=Action.RECONCILIATIONS_WRITE,
    tags=_TAGS,
    summary="Delete a reconciliation",
)
async def delete_reconciliation(uow: Work, reconciliation_id: FromPath[UUID]) -> None:
    """With its datasets, runs, matches, decisions and golden records."""
    await library.delete_reconciliation(uow, reconciliation_id)


@get(
    "/v1/reconciliations/{reconciliation_id:uuid}/rules",
    action=Action.RECONCILIATIONS_READ,
    tags=_TAGS,
    summary="Show the rules of a reconciliation",
)
async def get_rules(uow: Work, reconciliation_id: FromPath[UUID]) -> RulesShown:
    """What the next run goes by; where nothing was decided, the defaults."""
    return await rules_change.show_rules(uow, reconciliation_id)


@put(
    "/v1/reconciliations/{reconciliation_id:uuid}/rules",
    action=Action.RECONCILIATIONS_WRITE,
    tags=_TAGS,
    summary="Set the rules of a reconciliation",
)
async def put_rules(
    uow: Work, reconciliation_id: FromPath[UUID], data: JSONBody[ChangeRules]
) -> RulesShown:
    """Matches stay as they are until the next run.

    Columns that the rules name must be there once the datasets are loaded.
    """
    return await rules_change.put_rules(uow, reconciliation_id, data)


handlers = [
    create_reconciliation,
    list_reconciliations,
    get_reconciliation,
    change_reconciliation,
    delete_reconciliation,
    get_rules,
    put_rules,
]
