"""`muniment ingest`: bring folders and files in, and say what became of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from muniment.cli.runtime import console, one_sentence_errors, print_json, run
from muniment.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from muniment.cli.ingest_run import IngestResult
    from muniment.cli.remote import RemoteFailure
    from muniment.documents.progress import Failure


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Folders or files to bring in.")],
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Also wait until every passage is embedded.")
    ] = False,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Also sync again by this cron expression, such as '0 3 * * *' for each night at "
            "three, while a worker runs."
        ),
    ] = None,
    timezone: Annotated[str, typer.Option(help="Time zone of the schedule.")] = "UTC",
    organization: Annotated[
        str | None, typer.Option(help="Organization, when there are several.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Bring folders and files in and keep them in step: run it again after changes.

    Returns as soon as every file is searchable by its words; passages are embedded in the
    background, for search by meaning. Exits with 1 when a file failed. With MUNIMENT_URL set
    the files are uploaded there; what was removed from the folder then stays there.
    """
    from muniment.cli.ingest_run import CronSchedule, ingest_paths  # slow to load

    with one_sentence_errors():
        settings = load_settings()
    if settings.url is not None:
        if schedule is not None:
            raise typer.BadParameter("a remote server cannot read this machine's folders again")
        _ingest_remotely(settings, paths, json=json)
        return
    with one_sentence_errors():
        again = None if schedule is None else CronSchedule(schedule, timezone)
        results = run(
            ingest_paths(settings, paths, wait=wait, schedule=again, organization=organization)
        )
    if json:
        print_json(results)
    else:
        for result in results:
            _report(result)
    if any(result.failed for result in results):
        raise typer.Exit(1)


def _ingest_remotely(settings: Settings, paths: list[Path], *, json: bool) -> None:
    from muniment.cli.remote import ingest_remotely  # slow to load

    with one_sentence_errors():
        results = [ingest_remotely(settings, path) for path in paths]
    if json:
        print_json(results)
    for result in results:
        if not json:
            console.print(
                f"[bold]{result.path}[/]: {result.found} files uploaded and searchable, "
                f"{result.failed} failed in {result.seconds:.1f} s.",
                highlight=False,
                soft_wrap=True,
            )
            _print_failures(result.failures)
    if any(result.failed for result in results):
        raise typer.Exit(1)


def _report(result: IngestResult) -> None:
    console.print(
        f"[bold]{result.path}[/]: {result.found} files found, {result.added} added, "
        f"{result.changed} changed, {result.removed} removed, {result.unchanged} unchanged, "
        f"{result.failed} failed in {result.seconds:.1f} s.",
        highlight=False,
        soft_wrap=True,
    )
    if result.passages_waiting_for_vectors:
        console.print(
            f"Everything is searchable by its words. {result.passages_waiting_for_vectors:,} of "
            f"{result.passages:,} passages are still being embedded for search by meaning: that "
            "goes on while `muniment up` runs, or add --wait.",
            highlight=False,
            soft_wrap=True,
        )
    if result.next_sync_at is not None:
        console.print(
            f"It is synced again by its schedule, next at {result.next_sync_at:%Y-%m-%d %H:%M} UTC "
            "if a worker runs then; `muniment jobs schedules` lists it.",
            highlight=False,
            soft_wrap=True,
        )
    _print_failures(result.failures)


def _print_failures(failures: Sequence[Failure] | Sequence[RemoteFailure]) -> None:
    for failure in failures:
        line = f"  [red]{escape(failure.path)}[/]: {escape(failure.detail)}"
        console.print(line, highlight=False, soft_wrap=True)
