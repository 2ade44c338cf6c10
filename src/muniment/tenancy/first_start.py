"""What a new installation begins with: an organization, a workspace and a key."""

from __future__ import annotations

from muniment.cache.memo import memoized
from muniment.db import (
    Database,
    OrgId,
    Role,
    TenantScope,
    UnitOfWork,
    WorkspaceId,
    load_statements,
    new_id,
)
from muniment.tenancy.errors import WorkspaceNotFound
from muniment.tenancy.keys.create import create_api_key
from muniment.tier_settings import TierName

statements = load_statements("muniment.tenancy")


async def ensure_first_organization(database: Database) -> str | None:
    """Create the first organization if there is none, and return its owner's new API key.

    Returns None when an organization exists: a key is shown only when it is made. Processes
    that start at the same time agree on one organization.
    """
    async with database.operator() as work:
        await statements.lock_first_start(work)
        if await statements.first_organizations(work):
            return None
        scope = TenantScope(OrgId(new_id()), None, "first_start", Role.OWNER)
        beginning = UnitOfWork(work.connection, scope)
        await create_organization(beginning, "My organization", tier="enterprise")
        return (await create_api_key(beginning, "first key", Role.OWNER)).key


async def create_organization(work: UnitOfWork, name: str, *, tier: TierName) -> WorkspaceId:
    """Create the organization of the scope with its first workspace, `default`."""
    workspace_id = WorkspaceId(new_id())
    await statements.insert_organization(work, org_id=work.scope.org_id, name=name, tier=tier)
    await statements.insert_workspace(
        work, org_id=work.scope.org_id, workspace_id=workspace_id, name="default"
    )
    return workspace_id


async def workspace_of(work: UnitOfWork, wanted: WorkspaceId | None = None) -> WorkspaceId:
    """Return the workspace to work in: the wanted one, the caller's only one, or the oldest.

    Raises:
        WorkspaceNotFound: the organization has no such workspace, or the caller may not see it.
    """
    limit = work.scope.workspace_id
    if limit is not None and wanted not in (None, limit):
        raise WorkspaceNotFound
    wanted = wanted or limit

    async def find() -> WorkspaceId | None:
        if wanted is None:
            row = await statements.oldest_workspace(work)
        else:
            row = await statements.workspace_by_id(work, workspace_id=wanted)
        return None if row is None else WorkspaceId(row["workspace_id"])

    # Several steps of a request ask whether the workspace is there; one statement tells all.
    found = await memoized(("workspace", work.scope.org_id, wanted), find)
    if found is None:
        raise WorkspaceNotFound
    return found
