"""`muniment jobs watch`: follow one job until it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from muniment.cli.jobs import JobId, Json, Organization
from muniment.cli.runtime import local_session, notes, one_sentence_errors, print_json, run
from muniment.jobs.events import JobEvents
from muniment.jobs.schemas import JobDetail, JobStatus
from muniment.settings import Settings, load_settings

_REGISTER_SECONDS = 10.0
_LOOK_SECONDS = 60.0


def register(commands: typer.Typer) -> None:
    """Add the command to the group `jobs`."""
    commands.command()(watch)


def watch(job_id: JobId, organization: Organization = None, json: Json = False) -> None:
    """Follow a job and its children with a progress bar; ends with code 1 unless it succeeds.

    With --json, one line for each change.
    """
    with one_sentence_errors():
        settings = load_settings()
        with _Display(json=json) as display:
            if settings.url is not None:
                from muniment.cli.remote_events import job_states  # slow to load

                last = _show_all(job_states(settings, job_id), display)
            else:
                last = run(_locally(settings, organization, job_id, display.show))
    if not json:
        error = f": {last.error.detail}" if last.error is not None else ""
        notes.print(f"The job {last.id} has {_ENDED[last.status]}{error}", highlight=False)
    if last.status is not JobStatus.SUCCEEDED:
        raise typer.Exit(1)


_ENDED = {
    JobStatus.QUEUED: "not ended.",
    JobStatus.RUNNING: "not ended.",
    JobStatus.SUCCEEDED: "succeeded.",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "been cancelled.",
}


def _show_all(states: Iterator[JobDetail], display: _Display) -> JobDetail:
    last: JobDetail | None = None
    for state in states:
        display.show(state)
        last = state
    assert last is not None
    return last


async def _locally(
    settings: Settings, organization: str | None, job_id: UUID, show: Callable[[JobDetail], None]
) -> JobDetail:
    async with (
        local_session(settings, organization) as local,
        JobEvents.running(local.database) as events,
    ):
        with events.watch(local.scope, job_id) as watch:
            state = await watch.first(_REGISTER_SECONDS)
            show(state)
            while not (state.settled or watch.ended):
                change = await watch.change(_LOOK_SECONDS)
                if change is not None:
                    state = change
                    show(state)
            return state


class _Display:
    """A progress bar, or a line of JSON for each state."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            console=notes,
            disable=json,
        )
        self._bar = self._bars.add_task("", total=None, pace="")

    def __enter__(self) -> _Display:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, job: JobDetail) -> None:
        """Show how the job, or how its children stand."""
        if self._json:
            print_json(job)
            return
        done, total, unit = job.progress.done, job.progress.total, job.progress.unit or ""
        rate, remaining = job.progress.rate, job.progress.remaining_seconds
        if job.children is not None:
            children = job.children
            ended = children.succeeded + children.failed + children.cancelled
            done, total, unit = ended, ended + children.unfinished, "jobs"
            rate, remaining = children.rate, children.remaining_seconds
        pace = "" if rate is None or job.settled else f"{rate:,.1f} {unit}/s"
        if remaining is not None:
            pace += f", {timedelta(seconds=round(remaining))} left"
        self._bars.update(
            self._bar,
            description=f"{job.kind} {job.status}",
            completed=done,
            total=total,
            pace=pace,
        )
