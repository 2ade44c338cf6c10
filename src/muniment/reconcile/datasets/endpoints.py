"""The datasets of a reconciliation: given, shown, decided upon, deleted."""

from __future__ import annotations

from uuid import UUID

from litestar import Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, MultipartBody, SkipValidation

from muniment.db import Database, UnitOfWork
from muniment.documents.blobs import BlobStore
from muniment.reconcile.datasets import giving, library
from muniment.reconcile.datasets.schemas import (
    ChangeColumns,
    DatasetDetail,
    DatasetList,
    FileForm,
    GiveDocuments,
    GiveQuery,
    Loading,
    Rows,
)
from muniment.reconcile.reconciliations.schemas import Side
from muniment.settings import Settings
from muniment.tenancy.authentication import Caller
from muniment.tenancy.permissions import Action
from muniment.tenancy.quotas.usage import FileLimit

Work = NamedDependency[SkipValidation[UnitOfWork]]
Given = NamedDependency[SkipValidation[Settings]]

_TAGS = ["reconciliations"]


@post(
    "/v1/reconciliations/{reconciliation_id:uuid}/datasets",
    action=Action.RECONCILIATIONS_WRITE,
    tags=_TAGS,
    summary="Upload a dataset",
    status_code=202,
    # The file has a limit of its own; what is sent is kept on disk as it arrives.
    request_max_body_size=None,
)
async def upload_dataset(
    *,
    reconciliation_id: FromPath[UUID],
    data: MultipartBody[FileForm],
    database: NamedDependency[SkipValidation[Database]],
    caller: NamedDependency[SkipValidation[Caller]],
    blobs: NamedDependency[SkipValidation[BlobStore]],
    settings: Given,
) -> Response[Loading]:
    """A CSV, TSV, XLSX, ODS, Parquet or JSON lines file as the part `file`.

    It takes the place of the dataset on its side, or is added to it with `append`. What a file is
    and how it is written is told from its content; `delimiter`, `encoding` and `sheet` decide it.
    If it cannot be loaded the dataset stays as it was and tells the row and the column.
    """
    tier, tenant = caller.organization.tier, caller.tenant
    limit = FileLimit.of(tier, settings.tiers, settings.reconcile_max_bytes)
    async with database.unit_of_work(tenant) as work:
        # Nothing is stored for somebody who may not give it.
        await library.require_writable(work, reconciliation_id)
    part = await giving.store_upload(blobs, tenant.org_id, data, limit)
    async with database.unit_of_work(tenant) as work:
        return _accepted(await giving.give(work, reconciliation_id, part, settings))


@post(
    "/v1/reconciliations/{reconciliation_id:uuid}/datasets/query",
    action=Action.RECONCILIATIONS_QUERY,
    tags=_TAGS,
    summary="Give a dataset by a query",
    status_code=202,
)
async def query_dataset(
    uow: Work, settings: Given, reconciliation_id: FromPath[UUID], data: JSONBody[GiveQuery]
) -> Response[Loading]:
    """One SQL statement, run read-only in a database that the operator has set up.

    See `MUNIMENT_RECONCILE_CONNECTIONS` for the names of connections.
    """
    part = giving.query_part(data, settings)
    return _accepted(await giving.give(uow, reconciliation_id, part, settings))


@post(
    "/v1/reconciliations/{reconciliation_id:uuid}/datasets/documents",
    action=Action.RECONCILIATIONS_WRITE,
    tags=_TAGS,
    summary="Give a dataset from documents",
    status_code=202,
)
async def give_documents(
    uow: Work, settings: Given, reconciliation_id: FromPath[UUID], data: JSONBody[GiveDocuments]
) -> Response[Loading]:
    """The table in a document, or one record for each document of a source."""
    part = await giving.documents_part(uow, reconciliation_id, data)
    return _accepted(await giving.give(uow, reconciliation_id, part, settings))


@get(
    "/v1/reconciliations/{reconciliation_id:uuid}/datasets",
    action=Action.RECONCILIATIONS_READ,
    tags=_TAGS,
    summary="List the datasets of a reconciliation",
)
async def list_datasets(uow: Work, reconciliation_id: FromPath[UUID]) -> DatasetList:
    """Three at most: left, right and evidence."""
    return await library.page_of_datasets(uow, reconciliation_id)


@get(
    "/v1/reconciliations/{reconciliation_id:uuid}/datasets/{side:str}",
    action=Action.RECONCILIATIONS_READ,
    tags=_TAGS,
    summary="Show a dataset and its columns",
)
async def get_dataset(
    uow: Work, reconciliation_id: FromPath[UUID], side: FromPath[Side]
) -> DatasetDetail:
    """What was inferred of each column and why, how it was cleaned, what does not fit it."""
    return await library.show_dataset(uow, reconciliation_id, side)


@get(
    "/v1/reconciliations/{reconciliation_id:uuid}/datasets/{side:str}/preview",
    action=Action.RECONCILIATIONS_READ,
    tags=_TAGS,
    summary="Show the first records of a dataset",
)
async def preview_dataset(
    uow: Work, reconciliation_id: FromPath[UUID], side: FromPath[Side]
) -> Rows:
    """Fifty at most, as they stand in the source and cleaned; long cells are cut."""
    return await library.first_rows(uow, reconciliation_id, side)


@patch(
    "/v1/reconciliations/{reconciliation_id:uuid}/datasets/{side:str}",
    action=Action.RECONCILIATIONS_WRITE,
    tags=_TAGS,
    summary="Decide what the columns of a dataset are",
    status_code=202,
)
async def change_columns(
    uow: Work,
    settings: Given,
    reconciliation_id: FromPath[UUID],
    side: FromPath[Side],
    data: JSONBody[ChangeColumns],
) -> Response[Loading]:
    """Roles, types and cleanings by column; `null` leaves a column to the inference again.

    A job cleans the records anew from what was given; matches change with the next run.
    """
    loading = await giving.change_columns(uow, reconciliation_id, side, data, settings)
    return _accepted(loading)


@delete(
    "/v1/reconciliations/{reconciliation_id:uuid}/datasets/{side:str}",
    action=Action.RECONCILIATIONS_WRITE,
    tags=_TAGS,
    summary="Delete a dataset",
)
async def delete_dataset(
    uow: Work, reconciliation_id: FromPath[UUID], side: FromPath[Side]
) -> None:
    """With its records and its matches; decisions stay, for when the same records come back."""
    await library.delete_dataset(uow, reconciliation_id, side)


def _accepted(loading: Loading) -> Response[Loading]:
    return Response(loading, status_code=202, headers={"Location": f"/v1/jobs/{loading.job.id}"})


handlers = [
    upload_dataset,
    query_dataset,
    give_documents,
    list_datasets,
    get_dataset,
    preview_dataset,
    change_columns,
    delete_dataset,
]
