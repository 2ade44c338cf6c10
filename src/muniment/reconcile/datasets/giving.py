"""Giving records to a dataset: uploads, queries and documents, each loaded by a job."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from litestar.datastructures import UploadFile

from muniment.db import OrgId, UnitOfWork, load_statements, new_id
from muniment.documents.blobs import BlobStore
from muniment.documents.errors import DocumentNotFound
from muniment.errors import ValidationFailed
from muniment.jobs.listing import find_job
from muniment.reconcile.datasets.errors import (
    FileNotAcceptable,
    FileTooLarge,
    NothingToAppendTo,
    SourceNotFound,
    UnknownColumn,
    UnknownConnection,
)
from muniment.reconcile.datasets.library import find_dataset, list_datasets
from muniment.reconcile.datasets.schemas import (
    ChangeColumns,
    FileForm,
    GiveDocuments,
    GiveQuery,
    Loading,
    ReadOptions,
)
from muniment.reconcile.datasets.tasks import enqueue_load
from muniment.reconcile.reconciliations.library import find_reconciliation, hold_reconciliation
from muniment.reconcile.reconciliations.schemas import DatasetStatus, Side
from muniment.settings import Settings
from muniment.tenancy.audit.record import record
from muniment.tenancy.permissions import Action
from muniment.tenancy.quotas.usage import FileLimit, hold_usage, readable, require_room

_statements = load_statements("muniment.reconcile.datasets")

_LONGEST_NAME = 1000


class GivenPart(msgspec.Struct, frozen=True):
    """What is to be loaded into a dataset."""

    side: Side
    name: str
    """Of the part."""
    dataset_name: str | None
    origin: dict[str, Any]
    append: bool
    content_hash: bytes | None = None
    size_bytes: int = 0
    options: ReadOptions = ReadOptions()


async def store_upload(
    blobs: BlobStore, org_id: OrgId, form: FileForm, limit: FileLimit
) -> GivenPart:
    """Store the bytes of an upload, before any transaction begins.

    Raises:
        FileNotAcceptable: a name that is missing or too long.
        FileTooLarge: it is larger than `limit`.
        DiskFull, BlobStoreUnavailable: the bytes could not be stored.
    """
    name, digest, size = await asyncio.to_thread(_stored, blobs, org_id, form.file, limit)
    return GivenPart(
        form.side,
        name,
        form.name,
        {"kind": "upload"},
        form.append,
        digest,
        size,
        ReadOptions(form.delimiter, form.encoding, form.sheet),
    )


def _stored(
    blobs: BlobStore, org_id: OrgId, file: UploadFile, limit: FileLimit
) -> tuple[str, bytes, int]:
    name = file.filename.replace("\\", "/").rpartition("/")[2].replace("\0", "")
    if not name or len(name) > _LONGEST_NAME:
        raise FileNotAcceptable(f"A file needs a name of 1 to {_LONGEST_NAME} characters.")
    file.file.seek(0, 2)
    size = file.file.tell()
    if size > limit.bytes:
        most = str(limit) if limit.tier else f"At most {readable(limit.bytes)} are loaded"
        setting = "" if limit.tier else " (MUNIMENT_RECONCILE_MAX_BYTES)."
        raise FileTooLarge(f"{name} has {readable(size)}. {most}{setting}")
    file.file.seek(0)
    digest, size = blobs.put_open_file(org_id, file.file)
    return name, digest, size


async def give(
    work: UnitOfWork, reconciliation_id: UUID, part: GivenPart, settings: Settings
) -> Loading:
    """Note what is to be loaded into a dataset, and enqueue the job that does it.

    Raises:
        ReconciliationNotFound, NotAllowed: see `hold_reconciliation`.
        NothingToAppendTo: there are no records to which some could be added.
        QuotaExceeded, OrganizationSuspended: see `require_room`.
    """
    # Everybody holds what is used before anything that deleting a workspace would delete.
    await hold_usage(work)
    await hold_reconciliation(work, reconciliation_id, Action.RECONCILIATIONS_WRITE)
    row = await _statements.put_dataset(
        work,
        dataset_id=new_id(),
        reconciliation_id=reconciliation_id,
        side=part.side.value,
        name=part.dataset_name or part.name,
        keep_name=part.append and part.dataset_name is None,
    )
    dataset_id, job_id = row["dataset_id"], row["job_id"]
    if job_id is None and part.append:
        raise NothingToAppendTo
    if job_id is not None:
        await _statements.drop_stale_parts(work, dataset_id=dataset_id)
    await _statements.add_part(
        work,
        dataset_id=dataset_id,
        origin=part.origin,
        name=part.name,
        content_hash=part.content_hash,
        size_bytes=part.size_bytes,
        options=msgspec.to_builtins(part.options),
        replaces=not part.append,
    )
    await require_room(work, settings.tiers)
    told = {"side": part.side.value, "part": part.name}
    return await _loading(work, reconciliation_id, dataset_id, settings, told)


async def _loading(
    work: UnitOfWork,
    reconciliation_id: UUID,
    dataset_id: UUID,
    settings: Settings,
    told: dict[str, Any],
) -> Loading:
    job_id = await enqueue_load(work, dataset_id, settings)
    await _statements.is_loaded_by(work, dataset_id=dataset_id, job_id=job_id)
    await record(
        work,
        "dataset.loaded",
        target_type="dataset",
        target_id=str(dataset_id),
        after={"reconciliation_id": str(reconciliation_id), **told},
    )
    shown = await list_datasets(work, reconciliation_id)
    dataset = next(one for one in shown.items if one.id == dataset_id)
    return Loading(await find_job(work, job_id), dataset)


def query_part(wanted: GiveQuery, settings: Settings) -> GivenPart:
    """Return a query as something to load.

    Raises:
        UnknownConnection: there is no connection of that name.
    """
    if wanted.connection not in settings.reconcile_connections:
        raise UnknownConnection
    origin = {"kind": "query", "connection": wanted.connection, "sql": wanted.sql}
    name = wanted.name or wanted.connection
    return GivenPart(wanted.side, name, wanted.name, origin, wanted.append)


async def documents_part(
    work: UnitOfWork, reconciliation_id: UUID, wanted: GiveDocuments
) -> GivenPart:
    """Return a document, or the documents of a source, as something to load.

    Raises:
        ReconciliationNotFound: there is no such reconciliation.
        ValidationFailed: both or none of them are named.
        DocumentNotFound, SourceNotFound: the workspace of the reconciliation has none of that id.
    """
    row = await find_reconciliation(work, reconciliation_id)
    if (wanted.document_id is None) == (wanted.source_id is None):
        raise ValidationFailed("Name either a document or a source.")
    origin: dict[str, Any]
    if wanted.document_id is not None:
        origin = {"kind": "document", "document_id": str(wanted.document_id)}
        name = await _statements.document_in_workspace(
            work, document_id=wanted.document_id, workspace_id=row["workspace_id"]
        )
        if name is None:
            raise DocumentNotFound
    else:
        origin = {"kind": "source", "source_id": str(wanted.source_id)}
        name = await _statements.source_in_workspace(
            work, source_id=wanted.source_id, workspace_id=row["workspace_id"]
        )
        if name is None:
            raise SourceNotFound
    shown = (name or "documents")[:_LONGEST_NAME]
    return GivenPart(wanted.side, shown, wanted.name, origin, wanted.append)


async def change_columns(
    work: UnitOfWork,
    reconciliation_id: UUID,
    side: Side,
    wanted: ChangeColumns,
    settings: Settings,
) -> Loading:
    """Have a dataset cleaned again with what somebody decided of its columns.

    Raises:
        ReconciliationNotFound, NotAllowed: see `hold_reconciliation`.
        DatasetNotFound: there is no dataset on this side.
        UnknownColumn: it has no column of a name.
    """
    await hold_usage(work)
    await hold_reconciliation(work, reconciliation_id, Action.RECONCILIATIONS_WRITE)
    row = await find_dataset(work, reconciliation_id, side)
    _require_columns(row, wanted)
    overrides = {**row["overrides"]}
    for name, one in wanted.columns.items():
        overrides.pop(name, None)
        if one is not None:
            overrides[name] = msgspec.to_builtins(one)
    await _statements.change_overrides(work, dataset_id=row["dataset_id"], overrides=overrides)
    if row["status"] != DatasetStatus.LOADING:
        await _statements.drop_stale_parts(work, dataset_id=row["dataset_id"])
    told = {"side": side.value, "columns": sorted(wanted.columns)[:20]}
    return await _loading(work, reconciliation_id, row["dataset_id"], settings, told)


def _require_columns(row: asyncpg.Record, wanted: ChangeColumns) -> None:
    known = {column["name"] for column in row["columns"]}
    faults = [
        {"pointer": f"/columns/{name}", "detail": f"There is no column {name!r}."}
        for name in wanted.columns
        if name not in known
    ]
    if faults:
        there = ", ".join(sorted(known)[:20]) or "none before it was loaded"
        raise UnknownColumn(f"{faults[0]['detail']} There are: {there}.", errors=faults)
