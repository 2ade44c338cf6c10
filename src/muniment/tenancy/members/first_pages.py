"""First pages of listings, which every opening of a console asks for: cached until they change."""

from __future__ import annotations

from datetime import timedelta

from muniment.cache import Cache, Namespace
from muniment.db import Database, TenantScope
from muniment.tenancy.members.membership import page_of_members
from muniment.tenancy.members.schemas import MemberPage, WorkspacePage
from muniment.tenancy.members.workspaces import page_of_workspaces

MEMBER_PAGES = Namespace("member_pages", MemberPage, ttl=timedelta(minutes=5))
WORKSPACE_PAGES = Namespace("workspace_pages", WorkspacePage, ttl=timedelta(minutes=5))


async def cached_page_of_members(
    database: Database,
    cache: Cache,
    tenant: TenantScope,
    *,
    limit: int,
    cursor: str | None,
    secret: bytes,
) -> MemberPage:
    """Return a page of members, see `page_of_members`; the first one without any statement.

    Raises:
        InvalidCursor: the cursor is not one that this listing gave out.
    """

    async def load() -> MemberPage:
        async with database.unit_of_work(tenant, read_only=True) as work:
            return await page_of_members(work, limit=limit, cursor=cursor, secret=secret)

    if cursor is not None:
        return await load()
    key = f"{tenant.workspace_id}:{limit}"
    page = await cache.get(MEMBER_PAGES, tenant.org_id.hex, key, load, tags=("members",))
    return page or MemberPage([], None)


async def cached_page_of_workspaces(
    database: Database,
    cache: Cache,
    tenant: TenantScope,
    *,
    limit: int,
    cursor: str | None,
    secret: bytes,
) -> WorkspacePage:
    """Return a page of workspaces, see `page_of_workspaces`; most first ones without a statement.

    Callers with narrower roles see other roles than their colleagues, so they share no page.

    Raises:
        InvalidCursor: the cursor is not one that this listing gave out.
    """

    async def load() -> WorkspacePage:
        async with database.unit_of_work(tenant, read_only=True) as work:
            return await page_of_workspaces(work, limit=limit, cursor=cursor, secret=secret)

    if cursor is not None or tenant.workspace_roles:
        return await load()
    key = f"{tenant.workspace_id}:{tenant.role}:{limit}"
    page = await cache.get(WORKSPACE_PAGES, tenant.org_id.hex, key, load, tags=("workspaces",))
    return page or WorkspacePage([], None)
