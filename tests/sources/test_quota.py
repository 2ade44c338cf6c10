"""A sync takes in what the organization's tier has room for, and says what it left out."""

from __future__ import annotations

import pytest

from muniment.db import TenantScope, observe_statements
from muniment.jobs.schemas import JobStatus
from muniment.sources.library import get_run
from muniment.tenancy.quotas.usage import read_standing
from muniment.tier_settings import Tiers
from tests.sources.conftest import ENDED, Folder
from tests.tenancy.quotas.conftest import drift
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
def tiers() -> Tiers:
    return Tiers.model_validate(
        {"free": {"max_documents": 20, "max_bytes": 10_000, "max_file_bytes": 2000}}
    )


@pytest.fixture
async def small(folder: Folder) -> Folder:
    """The folder of an organization in the tier `free`."""
    await set_tier(folder, "free")
    return folder


async def set_tier(folder: Folder, tier: str) -> None:
    async with folder.database.unit_of_work(folder.scope) as work:
        await work.connection.execute("UPDATE organizations SET tier = $1", tier)


async def used(folder: Folder) -> tuple[int, int]:
    async with folder.database.unit_of_work(folder.scope) as work:
        standing = await read_standing(work)
    return standing.documents, standing.bytes


async def test_what_fits_is_taken_in_and_the_rest_follows(small: Folder) -> None:
    for number in range(45):
        small.write(f"{number:02}.md", f"# Note {number}\n\nAbout apples.")
    error = await small.fail()
    assert error.code == "quota_exceeded"
    assert error.detail.startswith("25 of 45 items were left out")
    assert await small.stored() == [f"{number:02}.md" for number in range(20)]
    assert (await used(small))[0] == 20

    # Nothing has changed: nothing more fits, and nothing is lost.
    error = await small.fail()
    assert error.detail.startswith("25 of 45 items")
    assert len(await small.stored()) == 20

    await set_tier(small, "pro")
    run = await small.sync()
    assert (run.found, run.added, run.removed) == (45, 25, 0)
    assert len(await small.found("apples")) == 10
    assert await drift(small.database) == []


async def test_bytes_end_the_listing_at_the_first_item_that_does_not_fit(small: Folder) -> None:
    for number in range(8):
        small.write(f"{number}.md", "word " * 300)
    small.write("small.md", "# Small")
    assert (await small.fail()).detail.startswith("3 of 9 items")
    assert await small.stored() == [f"{number}.md" for number in range(6)]
    assert (await used(small))[1] == 9000


async def test_a_full_organization_is_still_kept_in_step(small: Folder) -> None:
    for number in range(25):
        small.write(f"{number:02}.md", f"# Note {number}\n\nA long text about apples.")
    await small.fail()
    # Changed to less, gone, and unreadable now: none of it needs room.
    small.write("00.md", "# Pears")
    small.write("01.md", b"\x00" * 2001)
    for number in range(2, 5):
        (small.path / f"{number:02}.md").unlink()
    error = await small.fail()
    # Three went, so three of the five that waited came.
    assert error.detail.startswith("2 of 22 items")
    assert await small.stored() == [f"{number:02}.md" for number in (0, 1, *range(5, 23))]
    assert [failure.code for failure in await small.failures()] == ["file_too_large"]
    assert await small.found("pears") == ["Pears"]
    assert await drift(small.database) == []


async def test_what_is_gone_makes_room_within_the_same_run(small: Folder) -> None:
    for number in range(20):
        small.write(f"old {number:02}.md", f"# Old {number}")
    await small.sync()
    for number in range(20):
        (small.path / f"old {number:02}.md").unlink()
        small.write(f"new {number:02}.md", f"# New {number}")
    run = await small.sync()
    assert (run.found, run.added, run.removed) == (20, 20, 20)
    assert await small.stored() == [f"new {number:02}.md" for number in range(20)]


async def test_unreadable_items_need_room_too(small: Folder) -> None:
    for number in range(15):
        small.write(f"{number:02}.md", f"# Note {number}")
    for number in range(10):
        small.write(f"large {number}.md", b"x" * 2001)
    assert (await small.fail()).detail.startswith("5 of 25 items")
    assert len(await small.stored()) == 20
    assert len(await small.failures()) == 5
    assert "In the tier free a file may have 2 KB." in (await small.failures())[0].detail


async def test_a_failed_run_was_not_finished(small: Folder) -> None:
    for number in range(21):
        small.write(f"{number}.md", f"# Note {number}")
    run, job = await small.start()

    async def ended() -> bool:
        return (await job()).status in ENDED

    await until(ended)
    async with small.database.unit_of_work(small.scope) as work:
        assert (await get_run(work, run.run_id)).finished_at is None


async def test_other_organizations_are_not_disturbed(
    small: Folder, other_scope: TenantScope
) -> None:
    for number in range(25):
        small.write(f"{number}.md", f"# Note {number}")
    await small.fail()
    async with small.database.unit_of_work(other_scope) as work:
        standing = await read_standing(work)
    assert (standing.documents, standing.bytes) == (0, 0)


async def test_a_suspended_organization_is_not_synced(small: Folder) -> None:
    small.write("a.md", "# Apples")
    async with small.database.unit_of_work(small.scope) as work:
        await work.connection.execute("UPDATE organizations SET suspended_at = now()")
    looks: list[str] = []
    with observe_statements(lambda name, _seconds, _error: looks.append(name)):
        _run, job = await small.start()
        await until(lambda: "jobs.lane_outlook" in looks)
    assert (await job()).status is JobStatus.QUEUED
    assert await small.stored() == []
    async with small.database.unit_of_work(small.scope) as work:
        await work.connection.execute("UPDATE organizations SET suspended_at = NULL")

    async def has_ended() -> bool:
        return (await job()).status in ENDED

    await until(has_ended, 10)  # long before the worker would look by itself
    assert await small.stored() == ["a.md"]
