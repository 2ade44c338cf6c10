"""Files that a client sends: stored as they arrive, imported like those of any source."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from litestar.datastructures import UploadFile

from muniment.db import OrgId, UnitOfWork, WorkspaceId, load_statements, new_id
from muniment.documents.blobs import BlobStore
from muniment.documents.errors import UploadNotAcceptable, UploadTooLarge
from muniment.documents.importing import Item, Source, upsert_items
from muniment.documents.tasks import DocumentsPayload, convert_documents
from muniment.jobs import JobId, enqueue
from muniment.tenancy.first_start import workspace_of
from muniment.tenancy.permissions import Action, require_in_workspace
from muniment.tenancy.quotas.usage import FileLimit, readable
from muniment.tier_settings import Tiers

statements = load_statements("muniment.documents")

MOST_FILES = 100
"""Files of one upload."""
_LONGEST_NAME = 1000


async def store_uploads(
    blobs: BlobStore, org_id: OrgId, files: Sequence[UploadFile], limit: FileLimit
) -> list[Item]:
    """Store the bytes of an upload, before any transaction begins.

    Raises:
        UploadNotAcceptable: no files, too many, or a name that is missing or too long.
        UploadTooLarge: a file is larger than `limit`.
        DiskFull, BlobStoreUnavailable: the bytes could not be stored.
    """
    if not 0 < len(files) <= MOST_FILES:
        raise UploadNotAcceptable(f"Send 1 to {MOST_FILES} files, each as a part named `files`.")
    # Of two files of one name the last counts, as it would if they came one after the other.
    items = {
        item.external_id: item
        for item in [await asyncio.to_thread(_stored, blobs, org_id, file, limit) for file in files]
    }
    return list(items.values())


async def import_uploads(
    work: UnitOfWork, items: Sequence[Item], wanted: WorkspaceId | None, tiers: Tiers
) -> tuple[list[UUID], JobId]:
    """Record uploaded files as documents and enqueue their conversion as one job.

    A file of a name that was uploaded before takes that document's place. Returns the
    documents' ids, in the order of `items`, and the job's id.

    Raises:
        WorkspaceNotFound: there is no such workspace.
        NotAllowed: the caller may only read in it.
        QuotaExceeded, UploadTooLarge: the tier does not allow so much, see `upsert_items`.
    """
    workspace_id = await workspace_of(work, wanted)
    require_in_workspace(work.scope, Action.DOCUMENTS_WRITE, workspace_id)
    source_id = await statements.uploads_of_workspace(
        work, source_id=new_id(), workspace_id=workspace_id
    )
    rows = await upsert_items(work, Source(source_id, workspace_id), None, items, tiers)
    ids = {row["external_id"]: row["document_id"] for row in rows}
    document_ids = [ids[item.external_id] for item in items]
    job_id = await enqueue(
        work, convert_documents, DocumentsPayload(document_ids), group_id=source_id
    )
    return document_ids, job_id


def _stored(blobs: BlobStore, org_id: OrgId, file: UploadFile, limit: FileLimit) -> Item:
    name = file.filename.replace("\\", "/").lstrip("/").replace("\0", "")
    if not name or len(name) > _LONGEST_NAME:
        raise UploadNotAcceptable(f"A file needs a name of 1 to {_LONGEST_NAME} characters.")
    file.file.seek(0, 2)
    size = file.file.tell()
    if size > limit.bytes:
        raise UploadTooLarge(f"{name} has {readable(size)}. {limit}")
    file.file.seek(0)
    digest, size = blobs.put_open_file(org_id, file.file)
    return Item(
        external_id=name,
        title=name.rpartition("/")[2],
        url=None,
        media_type=file.content_type or None,
        size_bytes=size,
        content_hash=digest,
        version=None,
        updated_at=None,
    )
