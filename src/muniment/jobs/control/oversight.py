"""What rooms of other concerns have to say when somebody changes a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol
from uuid import UUID

from muniment.db import UnitOfWork, WorkspaceId

Deed = Literal["job.cancelled", "job.retried", "schedule.changed", "schedule.removed"]
"""What was done; what is before the dot is the kind of thing that it was done to."""


class Oversight(Protocol):
    """Permission and record of changes to jobs; the rooms of tenancy give both."""

    def require(self, work: UnitOfWork, workspace_id: WorkspaceId) -> None:
        """Let the caller of the transaction pass if it may manage jobs of a workspace.

        Raises:
            MunimentError: it may not.
        """
        ...

    async def record(
        self,
        work: UnitOfWork,
        deed: Deed,
        target_id: UUID,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
    ) -> None:
        """Tell in the organization's log what the caller of the transaction did."""
        ...
