"""Cancelling, retrying and measuring jobs over HTTP: statuses, codes, addresses, the audit log."""

from __future__ import annotations

from uuid import UUID

import httpx
import pytest

from muniment.db import Database, TenantScope, new_id
from muniment.jobs import enqueue
from tests.app.test_problems import problem_of
from tests.jobs.kinds import Note, nothing


async def queued(database: Database, scope: TenantScope) -> UUID:
    async with database.unit_of_work(scope) as work:
        return await enqueue(work, nothing, Note())


async def test_a_job_is_cancelled_and_retried(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    path = f"/v1/jobs/{await queued(database, scope)}"
    first, again = [await client.post(f"{path}/cancel") for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json() == again.json()
    assert first.json()["job"]["status"] == "cancelled"
    assert first.headers["location"] == path
    retried = await client.post(f"{path}/retry")
    assert (retried.status_code, retried.headers["location"]) == (202, path)
    assert retried.json()["job"]["status"] == "queued"
    refused = await client.post(f"{path}/retry")
    assert (refused.status_code, problem_of(refused)["code"]) == (409, "job_not_retryable")
    for deed in ("cancel", "retry"):
        unknown = await client.post(f"/v1/jobs/{new_id()}/{deed}")
        assert (unknown.status_code, problem_of(unknown)["code"]) == (404, "job_not_found")

    log = (await client.get("/v1/audit-log", params={"target_type": "job"})).json()["items"]
    assert [entry["action"] for entry in log] == ["job.retried", "job.cancelled"]
    assert {entry["target_id"] for entry in log} == {path.rpartition("/")[2]}
    assert log[1]["after"]["descendants"] == 0


async def test_what_has_ended_is_not_cancelled(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    job_id = await queued(database, scope)
    async with database.unit_of_work(scope) as work:
        await work.connection.execute("DELETE FROM queue.entries")
        await work.connection.execute("UPDATE jobs SET status='succeeded', finished_at = now()")
    refused = await client.post(f"/v1/jobs/{job_id}/cancel")
    assert (refused.status_code, problem_of(refused)["code"]) == (409, "job_has_ended")
    shown = (await client.get(f"/v1/jobs/{job_id}")).json()
    assert (shown["cancel_requested"], shown["children"]) == (False, None)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("stats?window=soon", "90s, 15m, 24h or 7d"),
        ("stats?window=91d", "not between one minute and 90 days"),
        ("timeseries?window=90d&bucket=1m", "2,000 are the most"),
        ("timeseries?window=1h&bucket=1d", "longer than the window"),
    ],
)
async def test_spans_out_of_bounds_are_explained(
    client: httpx.AsyncClient, path: str, told: str
) -> None:
    answer = await client.get(f"/v1/jobs/{path}")
    assert (answer.status_code, problem_of(answer)["code"]) == (422, "invalid_time_span")
    assert told in answer.json()["detail"]


async def test_figures_are_there_from_the_beginning(client: httpx.AsyncClient) -> None:
    stats = (await client.get("/v1/jobs/stats")).json()
    assert (stats["window_seconds"], stats["overall"]["failure_rate"]) == (86400, None)
    series = (await client.get("/v1/jobs/timeseries?window=2h&bucket=15m")).json()
    assert (len(series["buckets"]), series["bucket_seconds"]) == (8, 900)
    assert {bucket["p95_seconds"] for bucket in series["buckets"]} == {None}


async def test_a_lane_that_is_none_is_not_there(
    client: httpx.AsyncClient, database: Database
) -> None:
    from muniment.tenancy.operators.keys import create_operator_key

    async with database.operator() as work:
        headers = {"Authorization": f"Bearer {await create_operator_key(work, 'test')}"}
    answer = await client.post("/v1/admin/lanes/nowhere/pause", headers=headers)
    assert answer.status_code in {404, 422}
    problem_of(answer)
    lanes = (await client.get("/v1/admin/lanes", headers=headers)).json()["items"]
    assert [lane["lane"] for lane in lanes] == ["fast", "convert", "embed", "reconcile"]
