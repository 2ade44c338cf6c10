"""The repair of what triggers count: count anew, and tell where it differed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import msgspec

from muniment.db import Database, OrgId, UnitOfWork, load_statements
from muniment.tenancy.audit.record import record_by_operator

statements = load_statements("muniment.tenancy.quotas")

_BATCH = 500
_FIRST = UUID(int=0)


class Recount(msgspec.Struct, frozen=True):
    """One organization's counts: as they were kept, and as they are."""

    org_id: UUID
    name: str
    documents_before: int
    documents: int
    bytes_before: int
    bytes: int

    @property
    def drifted(self) -> bool:
        """Tell whether what was kept was wrong."""
        return (self.documents, self.bytes) != (self.documents_before, self.bytes_before)


async def count_organizations(database: Database) -> int:
    """Return how many organizations a recount will look at."""
    async with database.operator() as work:
        count: int = await statements.count_organizations(work)
    return count


async def recount_usage(
    database: Database, operator: str, *, only: OrgId | None = None
) -> AsyncIterator[Recount]:
    """Count the documents and bytes of each organization anew and mend what was kept.

    Safe while documents come and go: each organization is counted in a transaction of its own
    that holds its usage, so its uploads wait for the moment that counting takes, and nobody
    else's. A mended organization has an entry in its audit log.

    Args:
        database: its operator pool is used.
        operator: who does this, as the audit log names them.
        only: recount this organization alone.
    """
    after = _FIRST
    while True:
        async with database.operator() as work:
            rows = await statements.organizations_after(work, after=after, only=only, limit=_BATCH)
        for row in rows:
            after = row["org_id"]
            async with database.operator() as work:
                recount = await _recount(work, row["org_id"], row["name"], operator)
            if recount is not None:
                yield recount
        if len(rows) < _BATCH:
            return


async def _recount(work: UnitOfWork, org_id: UUID, name: str, operator: str) -> Recount | None:
    # Two statements: the second one begins, and so looks, when the first one has the lock.
    kept = await statements.hold_counted(work, org_id=org_id)
    if kept is None:
        return None
    counted = await statements.count_anew(work, org_id=org_id)
    recount = Recount(
        org_id,
        name,
        documents_before=kept["documents"],
        documents=counted["documents"],
        bytes_before=kept["bytes"],
        bytes=counted["bytes"],
    )
    if recount.drifted:
        await record_by_operator(
            work,
            operator,
            OrgId(org_id),
            "usage.recounted",
            before={"documents": recount.documents_before, "bytes": recount.bytes_before},
            after={"documents": recount.documents, "bytes": recount.bytes},
        )
    return recount
