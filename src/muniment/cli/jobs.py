"""`muniment jobs`: what runs, what waits and what failed; cancel it or try it again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
import typer

from muniment.cli.either import answer
from muniment.cli.runtime import (
    console,
    notes,
    one_sentence_errors,
    print_json,
    progress_bars,
)
from muniment.db import UnitOfWork
from muniment.errors import MunimentError
from muniment.job_oversight import TenancyOversight
from muniment.jobs.control.change import cancel_job, retry_job
from muniment.jobs.control.spans import parse_span
from muniment.jobs.listing import JobFilter, job_detail, list_jobs
from muniment.jobs.schemas import Job, JobAnswer, JobDetail, JobPage, JobStatus
from muniment.jobs.task import Lane

app = typer.Typer(
    help="Show, follow, cancel and retry the jobs of the organization.", no_args_is_help=True
)

Organization = Annotated[
    str | None, typer.Option("--organization", help="Organization, when there are several.")
]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
JobId = Annotated[UUID, typer.Argument(help="Id of the job, as the list shows it.")]
JobIds = Annotated[list[UUID], typer.Argument(help="Ids of jobs, as the list shows them.")]
Kind = Annotated[str | None, typer.Option(help="Only jobs of this kind.")]
Since = Annotated[
    str | None, typer.Option(help="Only jobs created so long ago at most, like 24h or 7d.")
]

_PAGE = 100
_MOST = 10_000
_OVERSIGHT = TenancyOversight()


@app.command("list")
def list_command(
    *,
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs of this status.")] = None,
    kind: Kind = None,
    lane: Annotated[Lane | None, typer.Option(help="Only jobs of this lane.")] = None,
    since: Since = None,
    parent: Annotated[
        UUID | None, typer.Option(help="Only the children of the job of this id.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="Most jobs to show.")] = 20,
    organization: Organization = None,
    json: Json = False,
) -> None:
    """List jobs, newest first."""
    with one_sentence_errors():
        wanted = JobFilter(status, kind, lane, _moment(since), parent)
        found = _all(wanted, limit, organization)
    if json:
        print_json(found)
        return
    for job in found:
        progress = f"{job.progress.done}/{job.progress.total}" if job.progress.total else ""
        error = f"  {job.error.detail}" if job.error is not None else ""
        _say(
            f"{job.id}  {job.queued_at:%Y-%m-%d %H:%M:%S}  {job.kind:18}  {job.status:9}  "
            f"{progress:>11}{error}"
        )


@app.command()
def show(job_id: JobId, organization: Organization = None, json: Json = False) -> None:
    """Show one job, and how its children stand if it has any."""

    async def here(work: UnitOfWork, _secret: bytes) -> JobDetail:
        return await job_detail(work, job_id)

    with one_sentence_errors():
        job = answer(JobDetail, organization, here, "GET", f"/v1/jobs/{job_id}")
    if json:
        print_json(job)
        return
    for name, value in _facts(job):
        _say(f"{name:10} {value}")


@app.command()
def cancel(job_ids: JobIds, organization: Organization = None, json: Json = False) -> None:
    """Cancel jobs and what came of them: at once what waits, within seconds what runs."""
    done: list[Job] = []
    failed: dict[str, str] = {}
    with one_sentence_errors():
        for job_id in job_ids:
            try:
                done.append(_cancel(job_id, organization))
            except MunimentError as error:
                failed[str(job_id)] = error.detail
    _tell(done, failed, json=json)


@app.command()
def retry(
    job_ids: Annotated[
        list[UUID] | None, typer.Argument(help="Ids of jobs, as the list shows them.")
    ] = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Retry all jobs that failed.")] = False,
    kind: Annotated[str | None, typer.Option(help="With --failed: only of this kind.")] = None,
    since: Annotated[
        str | None, typer.Option(help="With --failed: created so long ago at most, like 24h.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    organization: Organization = None,
    json: Json = False,
) -> None:
    """Queue jobs again that failed or were cancelled, under their ids, with all attempts."""
    if bool(job_ids) is failed:
        raise typer.BadParameter("Name jobs by their ids, or choose all that failed with --failed.")
    with one_sentence_errors():
        chosen = list(job_ids or [])
        if failed:
            wanted = JobFilter(JobStatus.FAILED, kind, None, _moment(since))
            chosen = [job.id for job in _all(wanted, _MOST, organization)]
            if not chosen:
                notes.print("No job has failed.")
            elif not yes:
                typer.confirm(f"Retry {len(chosen):,} failed jobs?", abort=True, err=True)
        done: list[Job] = []
        refused: dict[str, str] = {}
        with progress_bars() as bars:
            bar = bars.add_task("jobs", total=len(chosen), visible=len(chosen) > 1)
            for job_id in chosen:
                try:
                    done.append(_retry(job_id, organization))
                except MunimentError as error:
                    refused[str(job_id)] = error.detail
                bars.advance(bar)
    _tell(done, refused, json=json)


def _cancel(job_id: UUID, organization: str | None) -> Job:
    async def here(work: UnitOfWork, _secret: bytes) -> JobAnswer:
        return JobAnswer((await cancel_job(work, job_id, _OVERSIGHT)).job)

    return answer(JobAnswer, organization, here, "POST", f"/v1/jobs/{job_id}/cancel").job


def _retry(job_id: UUID, organization: str | None) -> Job:
    async def here(work: UnitOfWork, _secret: bytes) -> JobAnswer:
        return JobAnswer(await retry_job(work, job_id, _OVERSIGHT))

    return answer(JobAnswer, organization, here, "POST", f"/v1/jobs/{job_id}/retry").job


def _all(wanted: JobFilter, limit: int, organization: str | None) -> list[Job]:
    """Page through jobs until there are enough."""
    found: list[Job] = []
    cursor: str | None = None
    while len(found) < limit:
        size = min(_PAGE, limit - len(found))

        async def here(
            work: UnitOfWork, secret: bytes, size: int = size, cursor: str | None = cursor
        ) -> JobPage:
            return await list_jobs(work, wanted, limit=size, cursor=cursor, secret=secret)

        told = msgspec.to_builtins(wanted) | {"limit": size, "cursor": cursor}
        parameters = {name: value for name, value in told.items() if value is not None}
        page = answer(JobPage, organization, here, "GET", "/v1/jobs", params=parameters)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


def _moment(since: str | None) -> datetime | None:
    return None if since is None else datetime.now(UTC) - parse_span(since, "time")


def _tell(done: list[Job], failed: dict[str, str], *, json: bool) -> None:
    """Say what became of each job; end with code 1 if one was refused."""
    if json:
        print_json({"jobs": done, "refused": failed})
    else:
        for job in done:
            asked = " (asked to stop)" if job.cancel_requested and not job.status.final else ""
            _say(f"{job.id}  {job.kind:18}  {job.status}{asked}")
    for job_id, detail in failed.items():
        notes.print(f"[bold red]Error:[/] {job_id}: {detail}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _facts(job: JobDetail) -> list[tuple[str, Any]]:
    progress, children = job.progress, job.children
    facts: list[tuple[str, Any]] = [
        ("id", job.id),
        ("kind", job.kind),
        ("lane", job.lane),
        ("status", f"{job.status}{' (asked to stop)' if _stops(job) else ''}"),
        ("attempts", f"{job.attempts} of {job.max_attempts}"),
        ("queued", f"{job.queued_at:%Y-%m-%d %H:%M:%S}"),
    ]
    if progress.total is not None or progress.done:
        facts.append(("progress", f"{progress.done} of {progress.total} {progress.unit or ''}"))
    if children is not None:
        told = (
            f"{children.share:.0%} ended: {children.succeeded} succeeded, {children.failed} "
            f"failed, {children.cancelled} cancelled; {children.running} run, "
            f"{children.queued} wait"
        )
        facts.append(("children", told))
    for name, moment in (("started", job.started_at), ("finished", job.finished_at)):
        if moment is not None:
            facts.append((name, f"{moment:%Y-%m-%d %H:%M:%S}"))
    if job.error is not None:
        facts.append(("error", f"{job.error.detail} ({job.error.code})"))
    if job.parent_id is not None:
        facts.append(("parent", job.parent_id))
    return facts


def _stops(job: Job) -> bool:
    return job.cancel_requested and not job.status.final


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
