"""Who may change a job of a workspace, and how the audit log tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from muniment.db import UnitOfWork, WorkspaceId
from muniment.jobs.control.oversight import Deed
from muniment.tenancy.audit.record import record
from muniment.tenancy.permissions import Action, require_in_workspace


class TenancyOversight:
    """The table of permissions and the audit log, for the room of jobs to ask."""

    def require(self, work: UnitOfWork, workspace_id: WorkspaceId) -> None:
        """Let the caller pass if it may manage jobs of a workspace.

        Raises:
            NotAllowed: its role there is too narrow.
        """
        require_in_workspace(work.scope, Action.JOBS_MANAGE, workspace_id)

    async def record(
        self,
        work: UnitOfWork,
        deed: Deed,
        target_id: UUID,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
    ) -> None:
        """Write an entry about a job or schedule, in the transaction that changes it."""
        await record(
            work,
            deed,
            target_type=deed.partition(".")[0],
            target_id=str(target_id),
            before=msgspec.to_builtins(before),
            after=msgspec.to_builtins(after),
        )
