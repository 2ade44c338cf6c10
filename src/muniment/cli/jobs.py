"""`muniment jobs`: what runs, what waits and what failed."""

from __future__ import annotations

from typing import Annotated

import typer

from muniment.cli.runtime import (
    console,
    local_session,
    one_sentence_errors,
    print_json,
    run,
)
from muniment.jobs.listing import JobFilter, list_jobs
from muniment.jobs.schemas import Job, JobStatus
from muniment.settings import Settings, load_settings

app = typer.Typer(help="Show the jobs of the organization.", no_args_is_help=True)


@app.command("list")
def list_newest(
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Most jobs to show.")] = 20,
    organization: Annotated[
        str | None, typer.Option(help="Organization, when there are several.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """List jobs, newest first."""
    with one_sentence_errors():
        settings = load_settings()
    with one_sentence_errors():
        found = run(_list(settings, status, limit, organization))
    if json:
        print_json(found)
        return
    for job in found:
        progress = f"{job.progress.done}/{job.progress.total}" if job.progress.total else ""
        error = f"  {job.error.detail}" if job.error is not None else ""
        console.print(
            f"{job.id}  {job.queued_at:%Y-%m-%d %H:%M:%S}  {job.kind:18}  {job.status:9}  "
            f"{progress:>11}{error}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


async def _list(
    settings: Settings, status: JobStatus | None, limit: int, organization: str | None
) -> list[Job]:
    async with (
        local_session(settings, organization) as local,
        local.database.unit_of_work(local.scope, read_only=True) as work,
    ):
        wanted = JobFilter(status=status)
        page = await list_jobs(work, wanted, limit=limit, cursor=None, secret=local.secret)
        return page.items
