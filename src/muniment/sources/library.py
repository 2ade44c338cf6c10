"""Connected sources and their sync runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from muniment.db import UnitOfWork, WorkspaceId, load_statements, new_id
from muniment.documents.importing import Source
from muniment.sources.errors import SourceNotFound

statements = load_statements("muniment.sources")


class SyncRun(msgspec.Struct, frozen=True):
    """One pass over a source and what it found; counts are items."""

    run_id: UUID
    source_id: UUID
    started_at: datetime
    finished_at: datetime | None
    found: int
    added: int
    changed: int
    removed: int
    unreadable: int


async def connect_folder(work: UnitOfWork, workspace_id: WorkspaceId, folder: Path) -> Source:
    """Connect a local folder (or file), by its resolved path; connecting it again finds it."""
    location = str(folder)
    row = await statements.upsert_source(
        work,
        source_id=new_id(),
        workspace_id=workspace_id,
        type="local_folder",
        name=folder.name or location,
        location=location,
    )
    return Source(row["source_id"], workspace_id)


async def get_folder(work: UnitOfWork, source_id: UUID) -> tuple[Source, Path]:
    """Return a `local_folder` source and its folder.

    Raises:
        SourceNotFound: the organization has no such source.
    """
    row = await statements.get_source(work, source_id=source_id)
    if row is None or row["type"] != "local_folder":
        raise SourceNotFound
    return Source(row["source_id"], WorkspaceId(row["workspace_id"])), Path(row["location"])


async def get_run(work: UnitOfWork, run_id: UUID) -> SyncRun:
    """Return a sync run.

    Raises:
        SourceNotFound: the organization has no such run.
    """
    row = await statements.get_run(work, run_id=run_id)
    if row is None:
        raise SourceNotFound("There is no such sync run in your organization.")
    return SyncRun(**dict(row))
