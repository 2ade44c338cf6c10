"""How long ended jobs are kept: by age, and by number in each organization."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from muniment.db import Database, load_statements

_statements = load_statements("muniment.jobs")

_BATCH = 2000


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept. Jobs that wait or run are never deleted, nor are parents before children."""

    succeeded: timedelta
    """After this time jobs that succeeded or were cancelled go."""
    failed: timedelta
    """After this time failed jobs go."""
    most: int
    """Of each organization's jobs, so many of the newest stay at most."""

    async def purge(self, database: Database) -> int:
        """Delete ended jobs that are not to be kept any longer, in short transactions.

        Returns how many were deleted.
        """
        total = 0
        while True:
            now = datetime.now(UTC)
            async with database.system() as work:
                deleted: int = await _statements.purge_jobs(
                    work,
                    succeeded_before=now - self.succeeded,
                    failed_before=now - self.failed,
                    keep_newest=self.most,
                    most=_BATCH,
                )
            total += deleted
            if not deleted:
                return total
