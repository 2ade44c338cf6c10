"""The audit log of the caller's organization."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Schema,
)
from litestar.params import QueryParameter, SkipValidation
from litestar.response import Stream

from muniment.db import Database, TenantScope, UnitOfWork
from muniment.tenancy.audit.actions import AuditAction
from muniment.tenancy.audit.export import begin_export
from muniment.tenancy.audit.listing import AuditFilter, list_entries
from muniment.tenancy.audit.schemas import AuditPage, ExportFormat
from muniment.tenancy.permissions import Action

Actor = Annotated[
    str | None,
    QueryParameter(
        min_length=1, max_length=400, description="Who acted: `user:…`, `api_key:…`, `operator:…`."
    ),
]
Deed = Annotated[AuditAction | None, QueryParameter(description="What was done.")]
TargetType = Annotated[
    str | None,
    QueryParameter(
        max_length=100, pattern=r"^[a-z_]+$", description="Kind of thing that it was done to."
    ),
]
TargetId = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=400, description="Which thing it was done to."),
]
Since = Annotated[datetime | None, QueryParameter(description="At this time or later.")]
Until = Annotated[datetime | None, QueryParameter(description="Before this time.")]

_MEDIA_TYPES = {ExportFormat.JSONL: "application/jsonl", ExportFormat.CSV: "text/csv"}


@dataclass
class _Export(Operation):
    """Describes an answer of two types; a handler of the framework can declare one only."""

    def __post_init__(self) -> None:
        told = (self.responses or {}).get("200")
        if isinstance(told, OpenAPIResponse):
            text = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
            told.content = dict.fromkeys(_MEDIA_TYPES.values(), text)


@get(
    "/v1/audit-log",
    tags=["tenancy"],
    summary="List who did what, newest first",
    action=Action.AUDIT_READ,
    reads="replica",
)
async def list_audit_log(
    *,
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    cursor_secret: NamedDependency[SkipValidation[bytes]],
    actor: Actor = None,
    action: Deed = None,
    target_type: TargetType = None,
    target_id: TargetId = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    cursor: Annotated[
        str | None, QueryParameter(description="`next_cursor` of the page before.")
    ] = None,
) -> AuditPage:
    """Filters combine; all are optional. Entries are never changed, and none is deleted."""
    wanted = AuditFilter(actor, action, target_type, target_id, since, until)
    return await list_entries(uow, wanted, limit=limit, cursor=cursor, secret=cursor_secret)


@get(
    "/v1/audit-log/export",
    tags=["tenancy"],
    summary="Export the audit log",
    action=Action.AUDIT_READ,
    operation_class=_Export,
)
async def export_audit_log(
    *,
    database: NamedDependency[SkipValidation[Database]],
    tenant: NamedDependency[SkipValidation[TenantScope]],
    written_as: Annotated[ExportFormat, QueryParameter(name="format")] = ExportFormat.JSONL,
    actor: Actor = None,
    action: Deed = None,
    target_type: TargetType = None,
    target_id: TargetId = None,
    since: Since = None,
    until: Until = None,
) -> Stream:
    """Newest first, as JSON Lines or as CSV; filters as in the listing.

    Nothing else is limited: it streams for as long as there are entries. In the CSV, cells that
    a spreadsheet would take for a formula begin with an apostrophe.
    """
    wanted = AuditFilter(actor, action, target_type, target_id, since, until)
    pieces = await begin_export(database, tenant, wanted, written_as)
    name = f"audit-log.{written_as.value}"
    headers = {
        # The framework would answer with the one type that it thinks the handler has.
        "Content-Type": f"{_MEDIA_TYPES[written_as]}; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Stream(pieces, headers=headers)


handlers = [list_audit_log, export_audit_log]
