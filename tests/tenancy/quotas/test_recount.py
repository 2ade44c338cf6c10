"""Counts that went wrong are found, told and mended, while work goes on."""

from __future__ import annotations

import asyncio

import pytest

from muniment.db import Database, TenantScope
from muniment.tenancy.quotas.recount import count_organizations, recount_usage
from tests.tenancy.quotas.conftest import Quota, drift, item, quota_of


@pytest.fixture
async def broken(quota: Quota, other_scope: TenantScope) -> Quota:
    """An organization whose counts are wrong, beside one whose counts are right."""
    await (await quota_of(quota.database, other_scope)).take_in([item("theirs")])
    await quota.take_in([item("a", 100), item("b", 100)])
    async with quota.database.operator() as work:
        await work.connection.execute(
            "UPDATE usage SET documents = 7, bytes = 1 WHERE org_id = $1", quota.scope.org_id
        )
    return quota


async def test_drift_is_told_and_mended(database: Database, broken: Quota) -> None:
    assert await count_organizations(database) == 2
    found = [recount async for recount in recount_usage(database, "operator:test")]
    assert [recount.name for recount in found] == ["Ours", "Theirs"]
    ours, theirs = found
    assert (ours.documents_before, ours.documents) == (7, 2)
    assert (ours.bytes_before, ours.bytes) == (1, 200)
    assert (ours.drifted, theirs.drifted) == (True, False)
    assert await broken.used() == (2, 200)
    assert await drift(database) == []


async def test_a_missing_count_is_made(database: Database, broken: Quota) -> None:
    async with database.operator() as work:
        await work.connection.execute("DELETE FROM usage")
    assert await drift(database) == ["Ours", "Theirs"]
    assert await broken.used() == (2, 200)


async def test_one_organization_alone(database: Database, broken: Quota) -> None:
    only = broken.scope.org_id
    found = [recount async for recount in recount_usage(database, "operator:test", only=only)]
    assert [recount.org_id for recount in found] == [only]


async def test_mending_is_in_the_audit_log(database: Database, broken: Quota) -> None:
    await drift(database)
    async with database.operator() as work:
        rows = await work.connection.fetch("SELECT org_id, actor, before, after FROM audit_log")
    assert [tuple(row) for row in rows] == [
        (
            broken.scope.org_id,
            "test",
            {"documents": 7, "bytes": 1},
            {"documents": 2, "bytes": 200},
        )
    ]


async def test_the_application_cannot_change_counts(broken: Quota) -> None:
    for statement in ("UPDATE usage SET documents = 0", "DELETE FROM usage"):
        with pytest.raises(Exception, match="permission denied"):
            await broken.execute(statement)


async def test_recounting_while_documents_come_and_go(clone, scope: TenantScope) -> None:  # type: ignore[no-untyped-def]
    async with clone.open(pool_size=8, acquire_timeout=30.0) as database:
        quota = await quota_of(database, scope)
        await quota.set_tier("enterprise")
        importing = True

        async def come_and_go(writer: int) -> None:
            for turn in range(25):
                await quota.take_in([item(f"{writer} {turn} {n}", turn) for n in range(5)])
                await quota.execute(
                    "DELETE FROM documents WHERE external_id = $1", f"{writer} {turn} 0"
                )

        async def recount() -> int:
            found = 0
            while importing:
                assert await drift(database) == []
                found += 1
            return found

        recounting = asyncio.create_task(recount())
        await asyncio.gather(*(come_and_go(writer) for writer in range(4)))
        importing = False
        assert await recounting > 3
        assert await quota.used() == await quota.stored()
        assert (await quota.used())[0] == 400
