"""Listing jobs: filters, pages, one statement, one index, one organization."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from litestar import Litestar
from litestar.di import Provide

from muniment.db import Database, TenantScope, UnitOfWork, load_statements, observe_statements
from muniment.db.cursors import InvalidCursor, decode_cursor, encode_cursor
from muniment.jobs import JobNotFound, Lane, enqueue, enqueue_many
from muniment.jobs.endpoints import get_job
from muniment.jobs.endpoints import list_jobs as list_jobs_handler
from muniment.jobs.listing import JobFilter, find_job, job_detail, list_jobs
from muniment.jobs.schemas import Job, JobStatus
from tests.jobs.conftest import Jobs, RunWorker
from tests.jobs.kinds import Journal, Note, nothing, refuse, wait, write

SECRET = b"a secret of the tests"
OTHER_SECRET = b"another secret"


async def listed(
    database: Database, scope: TenantScope, wanted: JobFilter | None = None, limit: int = 100
) -> list[Job]:
    """All pages of a listing."""
    jobs: list[Job] = []
    cursor = None
    while True:
        async with database.unit_of_work(scope) as uow:
            page = await list_jobs(
                uow, wanted or JobFilter(), limit=limit, cursor=cursor, secret=SECRET
            )
        assert len(page.items) <= limit
        jobs += page.items
        cursor = page.next_cursor
        if cursor is None:
            return jobs


async def test_pages_are_newest_first_and_complete(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as uow:
        ids = await enqueue_many(uow, nothing, [Note()] * 7)
    for limit in (1, 3, 7, 100):
        assert [job.id for job in await listed(database, scope, limit=limit)] == ids[::-1]


async def test_filters_combine(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with run_worker(lanes={Lane.FAST: 2, Lane.CONVERT: 1}):
        async with database.unit_of_work(scope) as uow:
            done = await enqueue(uow, write, Note())
            failed = await enqueue(uow, refuse, Note())
            runs, waits = await enqueue_many(uow, wait, [Note()] * 2)
        for job_id, status in [(done, "succeeded"), (failed, "failed"), (runs, "running")]:
            await jobs.reaches(job_id, status)
        queued, running, fast = JobStatus.QUEUED, JobStatus.RUNNING, Lane.FAST
        now = datetime.now(UTC)
        for wanted, expected in [
            (JobFilter(), [waits, runs, failed, done]),
            (JobFilter(status=JobStatus.SUCCEEDED), [done]),
            (JobFilter(status=JobStatus.FAILED), [failed]),
            (JobFilter(status=JobStatus.CANCELLED), []),
            (JobFilter(status=running), [runs]),
            (JobFilter(status=queued), [waits]),
            (JobFilter(status=queued, lane=fast), []),
            (JobFilter(status=queued, kind="tests.wait", lane=Lane.CONVERT), [waits]),
            (JobFilter(kind="tests.wait"), [waits, runs]),
            (JobFilter(kind="tests.wait", lane=fast), []),
            (JobFilter(kind="no.such"), []),
            (JobFilter(lane=fast), [failed, done]),
            (JobFilter(lane=Lane.EMBED), []),
            (JobFilter(since=now - timedelta(hours=1)), [waits, runs, failed, done]),
            (JobFilter(since=now + timedelta(hours=1)), []),
            (JobFilter(since=datetime(1, 1, 1, tzinfo=UTC), lane=fast), [failed, done]),
        ]:
            for limit in (1, 100):
                found = await listed(database, scope, wanted, limit)
                assert [job.id for job in found] == expected, wanted
        journal.gate.set()


async def test_organizations_do_not_see_each_other(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as uow:
        job_id = await enqueue(uow, nothing, Note())
    assert [job.id for job in await listed(database, scope)] == [job_id]
    for wanted in [None, JobFilter(lane=Lane.FAST), JobFilter(status=JobStatus.QUEUED)]:
        assert await listed(database, other_scope, wanted) == []
    async with database.unit_of_work(other_scope) as uow:
        with pytest.raises(JobNotFound):
            await find_job(uow, job_id)
    async with database.system() as uow:
        assert await uow.connection.fetchval("SELECT count(*) FROM jobs") == 0


async def test_a_key_of_a_workspace_sees_only_its_jobs(
    database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as uow:
        workspace_id = await uow.connection.fetchval("SELECT workspace_id FROM workspaces")
        of_organization = await enqueue(uow, nothing, Note())
    limited = replace(scope, workspace_id=workspace_id)
    async with database.unit_of_work(limited) as uow:
        of_workspace = await enqueue(uow, nothing, Note())
        with pytest.raises(JobNotFound):
            await find_job(uow, of_organization)
    assert [job.id for job in await listed(database, limited)] == [of_workspace]
    assert len(await listed(database, scope)) == 2


async def test_children_are_listed_and_rolled_up(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker, journal: Journal
) -> None:
    async with database.unit_of_work(scope) as uow:
        parent = await enqueue(uow, nothing, Note(), run_after=timedelta(hours=1), priority=7)
        good = await enqueue(uow, write, Note(), parent_id=parent)
        bad = await enqueue(uow, refuse, Note(), parent_id=parent)
        runs, waits = await enqueue_many(uow, wait, [Note()] * 2, parent_id=parent)
    async with run_worker(lanes={Lane.FAST: 2, Lane.CONVERT: 1}):
        for job_id, status in [(good, "succeeded"), (bad, "failed"), (runs, "running")]:
            await jobs.reaches(job_id, status)
        for wanted, expected in [
            (JobFilter(parent_id=parent), [waits, runs, bad, good]),
            (JobFilter(parent_id=parent, status=JobStatus.FAILED), [bad]),
            (JobFilter(parent_id=parent, kind="tests.wait", lane=Lane.CONVERT), [waits, runs]),
            (JobFilter(parent_id=good), []),
        ]:
            for limit in (1, 100):
                found = await listed(database, scope, wanted, limit)
                assert [job.id for job in found] == expected, wanted
        async with database.unit_of_work(scope) as uow:
            detail = await job_detail(uow, parent)
            leaf = await job_detail(uow, good)
        journal.gate.set()
    assert (detail.priority, detail.cancel_requested, detail.settled) == (7, False, False)
    assert detail.run_after is not None
    children = detail.children
    assert children is not None
    counts = (children.queued, children.running, children.succeeded, children.failed)
    assert (counts, children.cancelled, children.share) == ((1, 1, 1, 1), 0, 0.5)
    assert children.rate
    assert children.remaining_seconds == pytest.approx(2 / children.rate)
    assert (leaf.children, leaf.settled) == (None, True)


async def test_listing_and_detail_are_one_statement(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as uow:
        ids = await enqueue_many(uow, nothing, [Note()] * 60)
        names: list[str] = []
        with observe_statements(lambda name, _seconds, _error: names.append(name)):
            page = await list_jobs(uow, JobFilter(), limit=50, cursor=None, secret=SECRET)
            await find_job(uow, ids[0])
            await job_detail(uow, ids[0])
    assert len(page.items) == 50
    assert names == ["jobs.list_jobs", "jobs.get_job", "jobs.get_job", "jobs.progress_of"]


PARAMETERS = {
    "list_jobs": {},
    "list_queued_jobs": {},
    "list_running_jobs": {},
    "list_ended_jobs": {"status": "failed"},
    "list_jobs_by_kind": {"kind": "kind 3"},
    "list_jobs_by_lane": {"lane": "embed"},
    "list_jobs_by_parent": {"status": None},
}


@pytest.mark.parametrize("name", PARAMETERS)
async def test_no_listing_reads_the_whole_table(
    clone: Any, database: Database, scope: TenantScope, name: str
) -> None:
    """The plan of the real statement, as the application's role, on a filled table."""
    owner = await asyncpg.connect(clone.installation.owner_dsn)
    await owner.execute(FILL, scope.org_id, PARENT)
    await owner.execute("ANALYZE jobs")
    await owner.close()
    query = getattr(load_statements("muniment.jobs"), name)
    values = {
        "before": UUID(int=2**128 - 1),
        "since": UUID(int=0),
        "kind": None,
        "lane": None,
        "lanes": list(Lane),
        "workspace_id": None,
        "parent_id": PARENT,
        "limit": 51,
    }
    async with database.unit_of_work(scope) as uow:
        read = ReadsOf(uow)
        await query(read, **(values | PARAMETERS[name]))
    assert "Seq Scan on jobs" not in read.plan
    assert read.rows_read <= 1000, read.plan


PARENT = UUID(int=1)
FILL = """
WITH parent AS (
    INSERT INTO jobs (org_id, job_id, kind, lane, payload, max_attempts, deadline)
    VALUES ($1, $2, 'parent', 'fast', '{}', 1, interval '1 minute')
)
INSERT INTO jobs (org_id, job_id, parent_id, kind, lane, status, payload, max_attempts, deadline,
    error, worker_id, started_at, finished_at)
SELECT $1, gen_random_uuid(), CASE WHEN n % 3 = 0 THEN $2::uuid END,
    'kind ' || n % 5, CASE WHEN n % 5 = 3 THEN 'embed' ELSE 'fast' END,
    CASE WHEN n % 1000 = 0 THEN 'failed' WHEN n % 3000 = 1 THEN 'queued' ELSE 'succeeded' END,
    '{}', 5, interval '1 minute',
    CASE WHEN n % 1000 = 0 THEN '{"code": "c", "detail": "d"}'::jsonb END,
    $1, now(), CASE WHEN n % 3000 <> 1 THEN now() END
FROM generate_series(1, 30000) AS n
"""


class ReadsOf:
    """Lends a connection that explains statements, and adds up what their plans read."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._connection = uow.connection
        self.plan = ""
        self.rows_read = 0.0

    @property
    def connection(self) -> Any:
        return self

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        rows = await self._connection.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *arguments)
        (plan,) = json.loads(rows[0][0])
        text = await self._connection.fetch(f"EXPLAIN {sql}", *arguments)
        self.plan = "\n".join(row[0] for row in text)
        self._add(plan["Plan"])
        return []

    def _add(self, node: dict[str, Any]) -> None:
        if node.get("Relation Name") == "jobs":
            removed = node.get("Rows Removed by Filter", 0)
            self.rows_read += (node["Actual Rows"] + removed) * node["Actual Loops"]
        for child in node.get("Plans", []):
            self._add(child)


def test_a_cursor_comes_back_as_it_was_given() -> None:
    position = UUID(int=5)
    cursor = encode_cursor(SECRET, "jobs", position)
    assert decode_cursor(SECRET, "jobs", cursor, UUID) == position
    assert "=" not in cursor


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "!", "é", "A" * 5000, encode_cursor(OTHER_SECRET, "jobs", UUID(int=5))],
)
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(SECRET, "jobs", cursor, UUID)


def test_a_cursor_is_of_one_listing_and_one_kind_and_unaltered() -> None:
    cursor = encode_cursor(SECRET, "jobs", "not an id")
    with pytest.raises(InvalidCursor):
        decode_cursor(SECRET, "jobs", cursor, UUID)
    with pytest.raises(InvalidCursor):
        decode_cursor(SECRET, "documents", cursor, str)
    with pytest.raises(InvalidCursor):
        decode_cursor(SECRET, "jobs", ("B" if cursor[0] == "A" else "A") + cursor[1:], str)


@asynccontextmanager
async def client_of(database: Database, scope: TenantScope) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the room's routes, with the transaction that the boundary would lend."""

    async def unit_of_work() -> AsyncIterator[UnitOfWork]:
        async with database.unit_of_work(scope) as uow:
            yield uow

    app = Litestar(
        [list_jobs_handler, get_job],
        dependencies={
            "uow": Provide(unit_of_work),
            "cursor_secret": Provide(lambda: SECRET, sync_to_thread=False),
        },
        logging_config=None,
    )
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_the_endpoints_show_jobs_as_documented(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    async with run_worker():
        async with database.unit_of_work(scope) as uow:
            parent = await enqueue(uow, write, Note())
            job_id = await enqueue(uow, refuse, Note(), parent_id=parent)
        await jobs.reaches(job_id, "failed")
        await jobs.reaches(parent, "succeeded")
    async with client_of(database, scope) as client:
        page = (await client.get("/v1/jobs", params={"limit": 1, "lane": "fast"})).json()
        rest = (await client.get("/v1/jobs", params={"cursor": page["next_cursor"]})).json()
        job = (await client.get(f"/v1/jobs/{job_id}")).json()
        for wrong in ["limit=0", "limit=101", "status=odd", "lane=odd", "kind=%00", "since=soon"]:
            assert (await client.get(f"/v1/jobs?{wrong}")).status_code == 400
    assert job.pop("children") is None
    assert page["items"] == [job]
    assert [each["id"] for each in rest["items"]] == [str(parent)]
    assert rest["next_cursor"] is None
    assert job.pop("queued_at") <= job.pop("started_at") <= job.pop("finished_at")
    assert job == {
        "id": str(job_id),
        "kind": "tests.refuse",
        "lane": "fast",
        "status": "failed",
        "priority": 0,
        "progress": {
            "done": 0,
            "total": None,
            "unit": None,
            "rate": None,
            "remaining_seconds": None,
        },
        "run_after": None,
        "cancel_requested": False,
        "attempts": 1,
        "max_attempts": 5,
        "error": {"code": "permanent_failure", "detail": "This can never work."},
        "parent_id": str(parent),
    }
