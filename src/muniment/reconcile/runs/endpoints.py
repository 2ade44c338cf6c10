"""The runs of a reconciliation."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation

from muniment.db import UnitOfWork
from muniment.reconcile.runs import library
from muniment.reconcile.runs.schemas import RunDetail, RunPage, Started, StartRun
from muniment.settings import Settings
from muniment.tenancy.permissions import Action

Work = NamedDependency[SkipValidation[UnitOfWork]]

_TAGS = ["reconciliations"]


@post(
    "/v1/reconciliations/{reconciliation_id:uuid}/runs",
    action=Action.RECONCILIATIONS_WRITE,
    tags=_TAGS,
    summary="Run a reconciliation",
    status_code=202,
)
async def start_run(
    uow: Work,
    settings: NamedDependency[SkipValidation[Settings]],
    reconciliation_id: FromPath[UUID],
    data: JSONBody[StartRun],
) -> Response[Started]:
    """Compares the datasets in a job; decisions are kept, also those taken meanwhile.

    A run that waits already stands for this one too.
    """
    started = await library.start_run(uow, reconciliation_id, data.mode, settings)
    return Response(started, status_code=202, headers={"Location": f"/v1/jobs/{started.job.id}"})


@get(
    "/v1/reconciliations/{reconciliation_id:uuid}/runs",
    action=Action.RECONCILIATIONS_READ,
    tags=_TAGS,
    summary="List the runs of a reconciliation, newest first",
)
async def list_runs(
    *,
    uow: Work,
    cursor_secret: NamedDependency[SkipValidation[bytes]],
    reconciliation_id: FromPath[UUID],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    cursor: Annotated[
        str | None, QueryParameter(description="`next_cursor` of the page before.")
    ] = None,
) -> RunPage:
    """How each stands, and what it did to the matches."""
    return await library.list_runs(
        uow, reconciliation_id, limit=limit, cursor=cursor, secret=cursor_secret
    )


@get(
    "/v1/reconciliations/{reconciliation_id:uuid}/runs/{run_id:uuid}",
    action=Action.RECONCILIATIONS_READ,
    tags=_TAGS,
    summary="Show a run",
)
async def get_run(
    uow: Work, reconciliation_id: FromPath[UUID], run_id: FromPath[UUID]
) -> RunDetail:
    """What was compared, what was decided on the way; of a run of mode `plan`, the plan."""
    return await library.show_run(uow, reconciliation_id, run_id)


handlers = [start_run, list_runs, get_run]
