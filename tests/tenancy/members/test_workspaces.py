"""Workspaces: names are taken once, the last one stays, none goes with documents inside."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from muniment.db import Database, Role, TenantScope, UnitOfWork, WorkspaceId, new_id
from muniment.tenancy.errors import WorkspaceNotFound
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.members.errors import LastWorkspace, WorkspaceExists, WorkspaceNotEmpty
from muniment.tenancy.members.schemas import Workspace
from muniment.tenancy.members.workspaces import (
    create_workspace,
    delete_workspace,
    find_workspace,
    page_of_workspaces,
    rename_workspace,
)
from muniment.tenancy.secrets import hash_of
from tests.tenancy.members.conftest import (
    SECRET,
    add_workspace,
    audited,
    statements,
    wait_until_somebody_waits,
)


async def listed(database: Database, scope: TenantScope, limit: int = 100) -> list[Workspace]:
    workspaces: list[Workspace] = []
    cursor = None
    while True:
        async with database.unit_of_work(scope, read_only=True) as work:
            page = await page_of_workspaces(work, limit=limit, cursor=cursor, secret=SECRET)
        workspaces += page.items
        cursor = page.next_cursor
        if cursor is None:
            return workspaces


async def add_document(database: Database, scope: TenantScope, workspace_id: UUID) -> None:
    async with database.unit_of_work(scope) as work:
        await insert_document(work, workspace_id)


async def insert_document(work: UnitOfWork, workspace_id: UUID) -> None:
    source_id = new_id()
    await work.connection.execute(
        "INSERT INTO sources (org_id, source_id, workspace_id, type, name, location)"
        " VALUES ($1, $2, $3, 'upload', 'uploads', $4)",
        work.scope.org_id,
        source_id,
        workspace_id,
        source_id.hex,
    )
    await work.connection.execute(
        "INSERT INTO documents (org_id, document_id, workspace_id, source_id, external_id, title,"
        " size_bytes, content_hash, status) VALUES ($1, $2, $3, $4, 'a', 'A', 1, $5, 'pending')",
        work.scope.org_id,
        new_id(),
        workspace_id,
        source_id,
        b"h" * 32,
    )


async def test_pages_are_complete(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        made = [(await create_workspace(work, name)).id for name in "abcde"]
    for limit in (1, 3, 100):
        found = await listed(database, scope, limit)
        assert [workspace.id for workspace in found][1:] == made
        assert [workspace.name for workspace in found] == ["default", *"abcde"]
    assert len(await listed(database, other_scope)) == 1


async def test_listing_and_detail_are_one_statement(database: Database, scope: TenantScope) -> None:
    workspace_id = await add_workspace(database, scope, "one")
    with statements() as names:
        await listed(database, scope)
        async with database.unit_of_work(scope) as work:
            await find_workspace(work, workspace_id)
    assert names == ["tenancy.members.list_workspaces", "tenancy.members.get_workspace"]


async def test_a_caller_of_one_workspace_sees_that_one(
    database: Database, scope: TenantScope
) -> None:
    mine = await add_workspace(database, scope, "mine")
    hidden = await add_workspace(database, scope, "hidden")
    limited = replace(scope, workspace_id=mine)
    assert [workspace.id for workspace in await listed(database, limited)] == [mine]
    async with database.unit_of_work(limited) as work:
        assert (await find_workspace(work, mine)).name == "mine"
        with pytest.raises(WorkspaceNotFound):
            await find_workspace(work, hidden)


async def test_a_narrower_role_is_shown(database: Database, scope: TenantScope) -> None:
    narrow = await add_workspace(database, scope, "narrow")
    narrowed = replace(scope, role=Role.ADMIN, workspace_roles={narrow: Role.VIEWER})
    assert [w.role for w in await listed(database, narrowed)] == [Role.ADMIN, Role.VIEWER]


async def test_workspaces_of_others_are_not_found(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    theirs = await add_workspace(database, other_scope, "theirs")
    async with database.unit_of_work(scope) as work:
        for attempt in (
            find_workspace(work, theirs),
            rename_workspace(work, theirs, "mine"),
            delete_workspace(work, theirs),
        ):
            with pytest.raises(WorkspaceNotFound):
                await attempt
    assert [workspace.name for workspace in await listed(database, other_scope)][1:] == ["theirs"]


async def test_a_name_is_taken_once(database: Database, scope: TenantScope) -> None:
    ready = asyncio.Barrier(4)

    async def create() -> str:
        try:
            async with database.unit_of_work(scope) as work:
                await ready.wait()
                await create_workspace(work, "research")
        except WorkspaceExists as error:
            return error.code
        return "done"

    outcomes = await asyncio.gather(*(create() for _ in range(4)))
    assert sorted(outcomes) == ["done", *["workspace_exists"] * 3]
    async with database.unit_of_work(scope) as work:
        other = await create_workspace(work, "other")
    with pytest.raises(WorkspaceExists):
        async with database.unit_of_work(scope) as work:
            await rename_workspace(work, other.id, "research")


async def test_the_last_workspace_stays(database: Database, scope: TenantScope) -> None:
    [only] = await listed(database, scope)
    with pytest.raises(LastWorkspace):
        async with database.unit_of_work(scope) as work:
            await delete_workspace(work, only.id)
    for round_ in range(10):
        other = await add_workspace(database, scope, f"other {round_}")
        ready = asyncio.Barrier(2)

        async def delete(workspace_id: UUID, ready: asyncio.Barrier) -> str:
            try:
                async with database.unit_of_work(scope) as work:
                    await ready.wait()
                    await delete_workspace(work, workspace_id)
            except LastWorkspace as error:
                return error.code
            return "done"

        outcomes = await asyncio.gather(delete(only.id, ready), delete(other, ready))
        assert sorted(outcomes) == ["done", "last_workspace"]
        [only] = await listed(database, scope)


async def test_a_workspace_with_documents_stays(database: Database, scope: TenantScope) -> None:
    full = await add_workspace(database, scope, "full")
    await add_document(database, scope, full)
    with pytest.raises(WorkspaceNotEmpty):
        async with database.unit_of_work(scope) as work:
            await delete_workspace(work, full)
    assert len(await listed(database, scope)) == 2


async def test_a_workspace_with_reconciliations_stays(
    database: Database, scope: TenantScope
) -> None:
    full = await add_workspace(database, scope, "full")
    async with database.unit_of_work(scope) as work:
        await work.connection.execute(
            "INSERT INTO reconciliations (org_id, reconciliation_id, workspace_id, name)"
            " VALUES ($1, $2, $3, 'books')",
            scope.org_id,
            new_id(),
            full,
        )
        with pytest.raises(WorkspaceNotEmpty, match="reconciliations"):
            await delete_workspace(work, full)


async def test_a_document_that_arrives_meanwhile_is_not_lost(
    database: Database, scope: TenantScope
) -> None:
    full = await add_workspace(database, scope, "full")
    async with database.unit_of_work(scope) as arriving:
        await insert_document(arriving, full)

        async def delete() -> None:
            async with database.unit_of_work(scope) as work:
                await delete_workspace(work, full)

        deleting = asyncio.create_task(delete())
        await wait_until_somebody_waits(database)
    with pytest.raises(WorkspaceNotEmpty):
        await deleting


async def test_a_workspace_with_unfinished_jobs_stays(
    database: Database, scope: TenantScope
) -> None:
    busy = await add_workspace(database, scope, "busy")
    async with database.unit_of_work(scope) as work:
        await work.connection.execute(
            "INSERT INTO jobs (org_id, job_id, workspace_id, kind, lane, payload, max_attempts,"
            " deadline) VALUES ($1, $2, $3, 'k', 'fast', '{}', 1, '1 min')",
            scope.org_id,
            new_id(),
            busy,
        )
        with pytest.raises(WorkspaceNotEmpty):
            await delete_workspace(work, busy)


async def test_keys_of_a_deleted_workspace_are_worth_nothing_at_once(
    database: Database, scope: TenantScope
) -> None:
    gone = WorkspaceId(await add_workspace(database, scope, "gone"))
    async with database.unit_of_work(scope) as work:
        key = (await create_api_key(work, "limited", Role.VIEWER, workspace_id=gone)).key
        kept = (await create_api_key(work, "of all", Role.VIEWER)).key
        await delete_workspace(work, gone)
        partition = scope.org_id.hex
        assert {f"{hash_of(key).hex()}/key", f"{partition}/workspaces"} <= work.invalidated
        assert f"{hash_of(kept).hex()}/key" not in work.invalidated
        assert await work.connection.fetchval("SELECT count(*) FROM api_keys") == 1


async def test_changes_are_announced_and_audited(database: Database, scope: TenantScope) -> None:
    tag = {f"{scope.org_id.hex}/workspaces"}
    async with database.unit_of_work(scope) as work:
        workspace = await create_workspace(work, "a")
        assert work.invalidated == tag
    async with database.unit_of_work(scope) as work:
        await rename_workspace(work, workspace.id, "a")
        assert work.invalidated == set()
        assert (await rename_workspace(work, workspace.id, "b")).name == "b"
        assert work.invalidated == tag
    async with database.unit_of_work(scope) as work:
        await delete_workspace(work, workspace.id)
        assert work.invalidated == tag
    entries = await audited(database, scope)
    assert [(entry["action"], entry["before"], entry["after"]) for entry in entries] == [
        ("workspace.created", None, {"name": "a"}),
        ("workspace.changed", {"name": "a"}, {"name": "b"}),
        ("workspace.deleted", {"name": "b", "api_keys": []}, None),
    ]
