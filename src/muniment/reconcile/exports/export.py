"""Begin an export: look at what is asked for, tell the audit log, and hand out the pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from muniment.db import Database, TenantScope
from muniment.reconcile.exports.files import pieces_of
from muniment.reconcile.exports.table import ExportFormat, What
from muniment.reconcile.exports.tables import Exporter
from muniment.tenancy.audit.record import record


async def begin_export(
    database: Database,
    tenant: TenantScope,
    reconciliation_id: UUID,
    what: What,
    written_as: ExportFormat,
    *,
    raw: bool = False,
) -> tuple[AsyncIterator[bytes], str]:
    """Return the pieces of a file and the name of the reconciliation.

    Nothing is held open between pieces. What is decided or found meanwhile may or may not be
    in the file.

    Raises:
        ReconciliationNotFound: the organization (or the caller's workspace) has none such.
    """
    async with database.unit_of_work(tenant) as work:
        exporter = await Exporter.open(database, tenant, work, reconciliation_id)
        table = await exporter.table(work, what)
        await record(
            work,
            "reconciliation.exported",
            target_type="reconciliation",
            target_id=str(reconciliation_id),
            after={"what": what.value, "format": written_as.value},
        )
    return pieces_of(table, written_as, what.value, raw=raw), exporter.name
