"""A worker with everything real, and a folder to keep in step with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from muniment.components import search_index
from muniment.db import Database, TenantScope
from muniment.documents.importing import Source
from muniment.documents.progress import (
    Failure,
    SourceProgress,
    failures_of,
    progress_of_source,
)
from muniment.jobs import Lane, Worker
from muniment.jobs.listing import find_job
from muniment.jobs.schemas import Job, JobError, JobStatus
from muniment.search.retrieval import search
from muniment.search.schemas import SearchMode, SearchRequest
from muniment.settings import Settings
from muniment.sources.library import SyncRun, connect_folder, get_run
from muniment.sources.tasks import start_sync
from muniment.tenancy.first_start import workspace_of
from muniment.tier_settings import Tiers
from muniment.worker import TASKS, resources

ENDED = {JobStatus.SUCCEEDED, JobStatus.FAILED}


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Wait for a condition, but not for ever."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  # it lives in the database
            await asyncio.sleep(0.05)


@pytest.fixture
def tiers() -> Tiers:
    """Limits of the tiers; a test may bring its own."""
    return Tiers.model_validate({})


@pytest.fixture
async def worker(
    worker_database: Database, tmp_path: Path, tiers: Tiers
) -> AsyncIterator[Settings]:
    """A worker of all lanes on the test's database; gives the settings that it runs with."""
    settings = Settings(
        data_dir=tmp_path / "data", convert_processes=1, max_upload_bytes=2**20, tiers=tiers
    )
    stop = asyncio.Event()
    async with resources(settings, list(Lane)) as available:
        running = asyncio.create_task(
            Worker(worker_database, TASKS, available, dict.fromkeys(Lane, 2)).run(stop)
        )
        yield settings
        stop.set()
        await running


@dataclass
class Folder:
    """A folder, its source, and what became of it."""

    path: Path
    database: Database
    scope: TenantScope
    source: Source

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    async def start(self) -> tuple[SyncRun, Callable[[], Awaitable[Job]]]:
        """Start a sync; give its run and a way to look at its job."""
        async with self.database.unit_of_work(self.scope) as work:
            run_id, job_id = await start_sync(work, self.source)
            run = await get_run(work, run_id)

        async def job() -> Job:
            async with self.database.unit_of_work(self.scope) as work:
                return await find_job(work, job_id)

        return run, job

    async def sync(self, *, embedded: bool = False) -> SyncRun:
        """Sync and wait until every file is searchable (or embedded) or has failed."""
        run, job = await self.start()

        async def done() -> bool:
            progress = await self.progress()
            waiting = progress.pending + (progress.searchable if embedded else 0)
            return (await job()).status in ENDED and waiting == 0

        await until(done)
        assert (await job()).status is JobStatus.SUCCEEDED
        async with self.database.unit_of_work(self.scope) as work:
            return await get_run(work, run.run_id)

    async def fail(self) -> JobError:
        """Sync and wait until it has failed for good and nothing is left to do; tell why."""
        _run, job = await self.start()

        async def ended() -> bool:
            return (await job()).status in ENDED and (await self.progress()).pending == 0

        await until(ended)
        failed = await job()
        assert failed.status is JobStatus.FAILED
        assert failed.error is not None
        return failed.error

    async def stored(self) -> list[str]:
        """Return the names of the items that are stored, whatever became of them."""
        async with self.database.unit_of_work(self.scope) as work:
            rows = await work.connection.fetch("SELECT external_id FROM documents ORDER BY 1")
        return [row["external_id"] for row in rows]

    async def progress(self) -> SourceProgress:
        async with self.database.unit_of_work(self.scope) as work:
            return await progress_of_source(work, self.source.source_id)

    async def failures(self) -> list[Failure]:
        async with self.database.unit_of_work(self.scope) as work:
            return [failure async for failure in failures_of(work, self.source.source_id)]

    async def found(self, words: str) -> list[str]:
        """Return the titles of documents that are found by their words."""
        response = await search(
            self.database,
            self.scope,
            search_index(),
            NoEmbedder(),
            SearchRequest(query=words, mode=SearchMode.LEXICAL),
        )
        return [result.title for result in response.results]


class NoEmbedder:
    """A lexical search embeds nothing."""

    model_id = "none"
    dimensions = 1

    async def embed_query(self, text: str) -> object:
        raise AssertionError(f"a lexical search embedded {text!r}")


@pytest.fixture
async def folder(database: Database, scope: TenantScope, tmp_path: Path) -> Folder:
    """An empty folder that is connected as a source."""
    path = (tmp_path / "folder").resolve()
    path.mkdir()
    async with database.unit_of_work(scope) as work:
        source = await connect_folder(work, await workspace_of(work), path)
    return Folder(path, database, scope, source)
