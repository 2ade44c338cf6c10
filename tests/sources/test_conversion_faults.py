"""Conversion jobs that are cancelled, or find the disk full, as the whole installation sees it."""

from __future__ import annotations

import resource
import time
from uuid import UUID

import psutil
import pytest

from muniment.db import Database, TenantScope
from muniment.documents.convert import Converter
from muniment.jobs.control.change import cancel_job
from muniment.settings import Settings
from tests.sources.conftest import Folder, until


class Anybody:
    """Who cancels: nobody asks who it is, and nobody writes it down."""

    def require(self, *_: object) -> None: ...

    async def record(self, *_: object) -> None: ...


def conversion_processes() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "muniment.documents.conversion_process" in child.cmdline()
    ]


async def conversion_job(database: Database, scope: TenantScope) -> dict[str, object]:
    async with database.unit_of_work(scope) as work:
        row = await work.connection.fetchrow(
            "SELECT job_id, status, error, attempts FROM jobs WHERE kind = 'documents.convert'"
        )
    return dict(row or {})


async def test_a_running_conversion_is_cancelled_within_two_seconds(
    worker: Settings, folder: Folder, database: Database, scope: TenantScope
) -> None:
    folder.write("first.txt", "The sea is calm.")
    await folder.start()

    async def reads() -> bool:
        # Stopped, it takes for ever, whatever it was about to do.
        for process in conversion_processes():
            process.suspend()
        return bool(conversion_processes()) and (
            (await conversion_job(database, scope)).get("status") == "running"
        )

    await until(reads)
    job_id = (await conversion_job(database, scope))["job_id"]
    assert isinstance(job_id, UUID)
    reading = conversion_processes()
    started = time.monotonic()
    async with database.unit_of_work(scope) as work:
        await cancel_job(work, job_id, Anybody())

    async def cancelled() -> bool:
        return (await conversion_job(database, scope))["status"] == "cancelled"

    await until(cancelled)
    assert time.monotonic() - started < 2
    assert not any(each.is_running() for each in reading)
    # The lane serves the next one.
    folder.write("next.txt", "The lighthouse keeper counts the ships.")
    run, _job = await folder.start()
    assert run is not None

    async def found() -> bool:
        return await folder.found("lighthouse") == ["next"]

    await until(found)


class Disk:
    """Lets conversion processes write no large file while it is full."""

    full = True

    def apply(self) -> None:
        most = 100_000 if self.full else resource.RLIM_INFINITY
        for process in conversion_processes():
            process.rlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk, take = Disk(), Converter._take

    async def take_and_limit(self: Converter, *, fresh: bool) -> object:
        taken = await take(self, fresh=fresh)
        disk.apply()
        return taken

    monkeypatch.setattr(Converter, "_take", take_and_limit)
    return disk


async def test_a_full_disk_is_the_reason_and_the_work_goes_on_when_it_has_room(
    worker: Settings, folder: Folder, database: Database, scope: TenantScope, disk: Disk
) -> None:
    folder.write("small.txt", "The lighthouse keeper counts the ships.")
    folder.write("large.txt", "All work and no play. " * 10_000)
    await folder.start()

    async def refused() -> bool:
        return (await conversion_job(database, scope)).get("error") is not None

    await until(refused)
    error = (await conversion_job(database, scope))["error"]
    assert isinstance(error, dict)
    assert error["code"] == "spool_full"
    assert "free some space" in error["detail"]
    # What was next to it was read, and it has not failed for good.
    assert await folder.found("lighthouse") == ["small"]
    assert (await folder.progress()).pending == 1
    disk.full = False

    async def ended() -> bool:
        return (await conversion_job(database, scope))["status"] == "succeeded"

    await until(ended)
    assert set(await folder.found("play")) == {"large"}
    assert await folder.failures() == []
