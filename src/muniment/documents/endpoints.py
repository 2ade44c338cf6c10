"""The documents of the caller's organization."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import (
    FromPath,
    FromQuery,
    JSONBody,
    MultipartBody,
    QueryParameter,
    SkipValidation,
)
from litestar.response import Stream

from muniment.db import Database, UnitOfWork, WorkspaceId
from muniment.documents.blobs import BlobStore
from muniment.documents.errors import BlobNotFound
from muniment.documents.library import (
    DocumentFilter,
    delete_document,
    find_document,
    list_passages,
)
from muniment.documents.library import fetch_documents as documents_by_id
from muniment.documents.library import list_documents as page_of_documents
from muniment.documents.schemas import (
    Document,
    DocumentPage,
    DocumentStatus,
    FetchDocuments,
    FetchedDocuments,
    PassagePage,
    Upload,
)
from muniment.documents.search_index import SearchIndex
from muniment.documents.uploads import import_uploads, store_uploads
from muniment.jobs.listing import find_job
from muniment.settings import Settings
from muniment.tenancy.authentication import Caller
from muniment.tenancy.permissions import Action
from muniment.tenancy.quotas.usage import FileLimit

Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")]


@get(
    "/v1/documents",
    action=Action.DOCUMENTS_READ,
    reads="replica",
    tags=["documents"],
    summary="List documents, newest first",
)
async def list_documents(
    *,
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    cursor_secret: NamedDependency[SkipValidation[bytes]],
    source_id: FromQuery[UUID | None] = None,
    status: FromQuery[DocumentStatus | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DocumentPage:
    """Filters combine; all are optional."""
    wanted = DocumentFilter(source_id, status)
    return await page_of_documents(uow, wanted, limit=limit, cursor=cursor, secret=cursor_secret)


class UploadForm(msgspec.Struct):
    """The parts of an upload."""

    files: list[UploadFile]
    workspace_id: UUID | None = None


@post(
    "/v1/documents",
    action=Action.DOCUMENTS_WRITE,
    tags=["documents"],
    summary="Upload documents",
    status_code=202,
    # Each file has a limit of its own; what is sent is kept on disk as it arrives.
    request_max_body_size=None,
)
async def upload_documents(
    data: MultipartBody[UploadForm],
    database: NamedDependency[SkipValidation[Database]],
    caller: NamedDependency[SkipValidation[Caller]],
    blobs: NamedDependency[SkipValidation[BlobStore]],
    settings: NamedDependency[SkipValidation[Settings]],
) -> Response[Upload]:
    """Send one or many files as parts named `files`; they are searchable when the job is done.

    A file of a name that was uploaded before takes the place of that document.
    """
    tier = caller.organization.tier
    limit = FileLimit.of(tier, settings.tiers, settings.max_upload_bytes)
    tenant = caller.tenant
    items = await store_uploads(blobs, tenant.org_id, data.files, limit)
    wanted = None if data.workspace_id is None else WorkspaceId(data.workspace_id)
    async with database.unit_of_work(tenant) as work:
        document_ids, job_id = await import_uploads(work, items, wanted, settings.tiers)
        job = await find_job(work, job_id)
    headers = {"Location": f"/v1/jobs/{job_id}"}
    return Response(Upload(job, document_ids), status_code=202, headers=headers)


@post(
    "/v1/documents/fetch",
    action=Action.DOCUMENTS_READ,
    tags=["documents"],
    summary="Show several documents",
    status_code=200,
)
async def fetch_documents(
    uow: NamedDependency[SkipValidation[UnitOfWork]], data: JSONBody[FetchDocuments]
) -> FetchedDocuments:
    """Up to 100, in one round trip to the database."""
    return await documents_by_id(uow, data.ids)


@get(
    "/v1/documents/{document_id:uuid}",
    action=Action.DOCUMENTS_READ,
    tags=["documents"],
    summary="Show a document",
)
async def get_document(
    uow: NamedDependency[SkipValidation[UnitOfWork]], document_id: FromPath[UUID]
) -> Document:
    """How the document stands, where it came from, and what its content tells of itself."""
    return Document.from_row(await find_document(uow, document_id))


@delete(
    "/v1/documents/{document_id:uuid}",
    action=Action.DOCUMENTS_WRITE,
    tags=["documents"],
    summary="Delete a document",
)
async def remove_document(
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    search_index: NamedDependency[SkipValidation[SearchIndex]],
    document_id: FromPath[UUID],
) -> None:
    """The document is found by no search from then on.

    A document of a source comes back with the next sync while its item is still there.
    """
    await delete_document(uow, search_index, document_id)


@get(
    "/v1/documents/{document_id:uuid}/chunks",
    action=Action.DOCUMENTS_READ,
    reads="replica",
    tags=["documents"],
    summary="List the passages of a document",
)
async def list_chunks(
    *,
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    cursor_secret: NamedDependency[SkipValidation[bytes]],
    document_id: FromPath[UUID],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PassagePage:
    """In reading order."""
    return await list_passages(uow, document_id, limit=limit, cursor=cursor, secret=cursor_secret)


@get(
    "/v1/documents/{document_id:uuid}/content",
    action=Action.DOCUMENTS_READ,
    tags=["documents"],
    summary="Read a document as Markdown",
    media_type="text/markdown; charset=utf-8",
)
async def get_content(
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    blobs: NamedDependency[SkipValidation[BlobStore]],
    document_id: FromPath[UUID],
) -> Stream:
    """The converted text that passages and their offsets refer to."""
    row = await find_document(uow, document_id)
    if row["text_hash"] is None:
        raise BlobNotFound("This document has no content (yet): look at its status.")
    return await _stream(blobs, uow, row["text_hash"], "text/markdown; charset=utf-8", {})


@get(
    "/v1/documents/{document_id:uuid}/original",
    action=Action.DOCUMENTS_READ,
    tags=["documents"],
    summary="Download a document as it was imported",
    media_type="application/octet-stream",
)
async def get_original(
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    blobs: NamedDependency[SkipValidation[BlobStore]],
    document_id: FromPath[UUID],
) -> Stream:
    """Byte for byte; always as a download, since what others wrote must not run here."""
    row = await find_document(uow, document_id)
    if row["content_hash"] is None:
        raise BlobNotFound("The bytes of this document could not be read at its source.")
    name = quote(row["external_id"].rpartition("/")[2], safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return await _stream(blobs, uow, row["content_hash"], "application/octet-stream", headers)


async def _stream(
    blobs: BlobStore, uow: UnitOfWork, digest: bytes, media_type: str, headers: dict[str, Any]
) -> Stream:
    pieces = await blobs.stream(uow.scope.org_id, digest)
    return Stream(pieces, media_type=media_type, headers=headers)


handlers = [
    upload_documents,
    fetch_documents,
    list_documents,
    get_document,
    remove_document,
    list_chunks,
    get_content,
    get_original,
]
