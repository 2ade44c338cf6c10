"""Documents and bytes are counted whatever changes them, and never exceed the tier."""

from __future__ import annotations

import asyncio

import pytest

from muniment.db import Database, TenantScope
from muniment.documents.errors import UploadTooLarge
from muniment.documents.importing import upsert_items
from muniment.tenancy.errors import OrganizationSuspended
from muniment.tenancy.quotas.errors import QuotaExceeded
from muniment.tenancy.quotas.usage import FileLimit, Room, readable
from muniment.tier_settings import Tiers
from tests.tenancy.quotas.conftest import TIERS, Quota, drift, item, quota_of


async def test_every_change_is_counted(quota: Quota) -> None:
    assert await quota.used() == (0, 0)
    await quota.take_in([item("a", 100), item("b", 200)])
    assert await quota.used() == (2, 300)
    await quota.take_in([item("a", 50), item("c", 5)])
    assert await quota.used() == (3, 255)
    await quota.execute("UPDATE documents SET size_bytes = size_bytes + 1")
    assert await quota.used() == (3, 258)
    await quota.execute("UPDATE documents SET status = 'embedded'")
    assert await quota.used() == (3, 258)
    await quota.execute("DELETE FROM documents WHERE external_id = 'a'")
    assert await quota.used() == (2, 207)
    await quota.execute("DELETE FROM workspaces")
    assert await quota.used() == (0, 0)


async def test_what_is_rolled_back_is_not_counted(quota: Quota) -> None:
    async def fail() -> None:
        async with quota.database.unit_of_work(quota.scope) as work:
            await work.connection.execute("DELETE FROM documents")
            raise LookupError

    await quota.take_in([item("a")])
    with pytest.raises(LookupError):
        await fail()
    assert await quota.used() == (1, 10)


async def test_an_organization_is_deleted_with_its_counts(
    database: Database, quota: Quota, other_scope: TenantScope
) -> None:
    other = await quota_of(database, other_scope)
    await other.take_in([item("theirs")])
    await quota.take_in([item("a")])
    await quota.execute("DELETE FROM organizations")
    async with database.operator() as work:
        rows = await work.connection.fetch("SELECT org_id FROM usage")
    assert [row["org_id"] for row in rows] == [other_scope.org_id]
    assert await other.used() == (1, 10)


async def test_the_tier_is_the_limit_of_documents(quota: Quota) -> None:
    await quota.take_in([item(str(number)) for number in range(9)])
    with pytest.raises(QuotaExceeded, match=r"free allows 10 documents; 9 .* would be 11"):
        await quota.take_in([item("x"), item("y")])
    assert await quota.used() == await quota.stored() == (9, 90)
    await quota.take_in([item("x")])
    with pytest.raises(QuotaExceeded):
        await quota.take_in([item("y")])
    await quota.execute("DELETE FROM documents WHERE external_id = 'x'")
    await quota.take_in([item("y")])
    await quota.set_tier("pro")
    await quota.take_in([item("z")])
    await quota.set_tier("enterprise")
    await quota.take_in([item(f"many {number}") for number in range(50)])


async def test_the_tier_is_the_limit_of_bytes(quota: Quota) -> None:
    await quota.take_in([item("a", 500), item("b", 499)])
    with pytest.raises(QuotaExceeded, match=r"allows 1 KB; 999 bytes are used.* would be 1.001 KB"):
        await quota.take_in([item("c", 2)])
    with pytest.raises(QuotaExceeded):
        await quota.take_in([item("b", 500), item("c", 1)])
    await quota.take_in([item("c", 1)])
    assert await quota.used() == (3, 1000)


async def test_what_does_not_grow_is_always_allowed(quota: Quota) -> None:
    await quota.set_tier("pro")
    await quota.take_in([item(str(number), 500) for number in range(12)])
    await quota.set_tier("free")
    await quota.take_in([item("0", 500), item("1", 100)])
    with pytest.raises(QuotaExceeded):
        await quota.take_in([item("1", 101)])
    with pytest.raises(QuotaExceeded):
        await quota.take_in([item("2", 0), item("new", 0)])
    await quota.execute("DELETE FROM documents WHERE external_id = '2'")
    assert await quota.used() == await quota.stored() == (11, 5100)


async def test_a_file_is_no_larger_than_the_tier_allows(quota: Quota) -> None:
    with pytest.raises(UploadTooLarge, match=r"big has 501 bytes; in the tier free .* 500 bytes"):
        await quota.take_in([item("big", 501)])
    await quota.set_tier("pro")
    await quota.take_in([item("big", 501)])


async def test_a_suspended_organization_takes_nothing_in(quota: Quota) -> None:
    await quota.execute("UPDATE organizations SET suspended_at = now()")
    with pytest.raises(OrganizationSuspended):
        await quota.take_in([item("a")])
    assert await quota.stored() == (0, 0)


async def test_concurrent_imports_fill_the_quota_and_no_more(clone, scope: TenantScope) -> None:  # type: ignore[no-untyped-def]
    async with clone.open(pool_size=20, acquire_timeout=30.0) as database:
        quota = await quota_of(database, scope)
        await quota.take_in([item(f"before {number}") for number in range(9)])
        results = await asyncio.gather(
            *(quota.take_in([item(f"{number}")]) for number in range(50)), return_exceptions=True
        )
        assert [result for result in results if result is not None] != []
        assert sum(result is None for result in results) == 1
        assert all(result is None or isinstance(result, QuotaExceeded) for result in results)
        assert await quota.used() == await quota.stored() == (10, 100)
        assert await drift(database) == []


async def test_imports_and_deletions_never_wait_for_each_other_in_a_circle(
    clone,  # type: ignore[no-untyped-def]
    scope: TenantScope,
) -> None:
    """Batches of the same items in any order, beside deletions and a change of workspaces."""
    async with clone.open(pool_size=16, acquire_timeout=60.0) as database:
        quota = await quota_of(database, scope)
        await quota.set_tier("enterprise")
        names = [f"item {number}" for number in range(40)]

        async def take_in(turn: int) -> None:
            order = names if turn % 2 else names[::-1]
            await quota.take_in([item(name, turn * 7 % 100) for name in order])

        async def delete(turn: int) -> None:
            name = names[turn % len(names)]
            async with database.unit_of_work(scope) as work:
                await work.connection.execute("SELECT hold_usage()")
                await work.connection.execute(
                    "SELECT FROM documents WHERE external_id = $1 FOR UPDATE", name
                )
                await work.connection.execute("DELETE FROM documents WHERE external_id = $1", name)

        async def remove_workspace(turn: int) -> None:
            await quota.execute("DELETE FROM workspaces WHERE name = $1", f"workspace {turn}")

        for turn in range(8):
            await quota.execute(
                "INSERT INTO workspaces (org_id, workspace_id, name)"
                " VALUES (current_org_id(), gen_random_uuid(), $1)",
                f"workspace {turn}",
            )
        await asyncio.gather(
            *(take_in(turn) for turn in range(60)),
            *(delete(turn) for turn in range(60)),
            *(remove_workspace(turn) for turn in range(8)),
        )
        assert await quota.used() == await quota.stored()
        assert await drift(database) == []


async def test_deleting_a_workspace_waits_for_an_import_into_it(quota: Quota) -> None:
    """It must not hold the workspace meanwhile, or the import would wait for it in turn."""
    async with quota.database.unit_of_work(quota.scope) as work:
        await upsert_items(work, quota.source, None, [item("a")], TIERS)
        deleting = asyncio.create_task(quota.execute("DELETE FROM workspaces"))
        await _until_somebody_waits(quota.database)
        await upsert_items(work, quota.source, None, [item("b")], TIERS)
    await deleting
    assert await quota.used() == await quota.stored() == (0, 0)


async def _until_somebody_waits(database: Database) -> None:
    async with asyncio.timeout(10):
        waiting = 0
        while not waiting:
            async with database.operator() as work:
                waiting = await work.connection.fetchval(
                    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
                    " WHERE NOT granted AND datname = current_database()"
                )


async def test_another_organization_has_counts_of_its_own(
    database: Database, quota: Quota, other_scope: TenantScope
) -> None:
    other = await quota_of(database, other_scope)
    await other.take_in([item(str(number)) for number in range(10)])
    await quota.take_in([item("a")])
    assert (await quota.used(), await other.used()) == ((1, 10), (10, 100))


def test_the_smaller_limit_of_a_file_counts() -> None:
    ours = FileLimit.of("free", TIERS, 10**9)
    assert (ours.bytes, str(ours)) == (500, "In the tier free a file may have 500 bytes.")
    installation = FileLimit.of("enterprise", TIERS, 10**8)
    assert installation.bytes == 10**8
    assert str(installation) == "At most 100 MB are imported (MUNIMENT_MAX_UPLOAD_BYTES)."


def test_room_is_taken_and_given_back() -> None:
    room = Room(documents=1, bytes=100)
    assert room.take(1, 60)
    assert not room.take(1, 0)
    assert not room.take(0, 41)
    assert room.take(-1, -60)
    assert room.take(1, 100)
    assert Room(None, None).take(10**9, 10**18)
    above = Room(documents=-5, bytes=-5)
    assert above.take(0, -1)
    assert not above.take(1, 0)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 KB"),
        (25 * 10**6, "25 MB"),
        (1_049_000_000, "1.049 GB"),
        (5_000_000 * 10**12, "5,000,000 TB"),
    ],
)
def test_sizes_are_readable(size: int, text: str) -> None:
    assert readable(size) == text


def test_tiers_have_the_published_limits() -> None:
    tiers = Tiers.model_validate({})
    assert (tiers.free.max_bytes, tiers.free.max_documents) == (10**9, 1000)
    assert (tiers.pro.max_bytes, tiers.pro.max_documents) == (50 * 10**9, 100_000)
    assert (tiers.enterprise.max_bytes, tiers.enterprise.max_documents) == (None, None)
