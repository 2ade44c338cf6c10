"""Results of a reconciliation as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat
from litestar.params import FromPath, FromQuery, QueryParameter, SkipValidation
from litestar.response import Stream

from muniment.db import Database, TenantScope
from muniment.reconcile.exports.export import begin_export
from muniment.reconcile.exports.table import ExportFormat, What
from muniment.tenancy.permissions import Action

_MEDIA_TYPES = {
    ExportFormat.CSV: "text/csv",
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ExportFormat.PARQUET: "application/vnd.apache.parquet",
}


@dataclass
class _Export(Operation):
    """Describes an answer of several types; a handler of the framework can declare one only."""

    def __post_init__(self) -> None:
        told = (self.responses or {}).get("200")
        if isinstance(told, OpenAPIResponse):
            file = OpenAPIMediaType(
                schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
            )
            told.content = dict.fromkeys(_MEDIA_TYPES.values(), file)


@get(
    "/v1/reconciliations/{reconciliation_id:uuid}/export",
    action=Action.RECONCILIATIONS_READ,
    tags=["reconciliations"],
    summary="Export results as a file",
    operation_class=_Export,
)
async def export_results(
    *,
    database: NamedDependency[SkipValidation[Database]],
    tenant: NamedDependency[SkipValidation[TenantScope]],
    reconciliation_id: FromPath[UUID],
    what: FromQuery[What] = What.MATCHES,
    written_as: Annotated[ExportFormat, QueryParameter(name="format")] = ExportFormat.CSV,
    raw: Annotated[
        bool, QueryParameter(description="Leave text in CSV as it is, formulas too.")
    ] = False,
) -> Stream:
    """Matches (also those that wait for review), review, unmatched records or golden records.

    It streams for as long as there are rows. In CSV, text that a spreadsheet would take for a
    formula begins with an apostrophe unless `raw` is set; numbers stay numbers. A spreadsheet
    goes on with another sheet after 1,048,575 rows.
    """
    pieces, name = await begin_export(
        database, tenant, reconciliation_id, what, written_as, raw=raw
    )
    file_name = quote(f"{name} {what.value}.{written_as.value}", safe="")
    headers = {
        # The framework would answer with the one type that it thinks the handler has.
        "Content-Type": _MEDIA_TYPES[written_as],
        "Content-Disposition": f"attachment; filename*=UTF-8''{file_name}",
    }
    return Stream(pieces, media_type=_MEDIA_TYPES[written_as], headers=headers)


handlers = [export_results]
