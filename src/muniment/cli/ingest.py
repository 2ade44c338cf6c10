"""`muniment ingest`: bring folders and files in, and say what became of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.cli.runtime import console, one_sentence_errors, print_json, run
from muniment.settings import Settings

if TYPE_CHECKING:
    from muniment.cli.ingest_run import IngestResult


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Folders or files to bring in.")],
    wait: Annotated[
        bool, typer.Option("--wait", help="Also wait until every passage is embedded.")
    ] = False,
    organization: Annotated[
        str | None, typer.Option(help="Organization, when there are several.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Bring folders and files in and keep them in step: run it again after changes.

    Returns as soon as every file is searchable by its words; passages are embedded in the
    background, for search by meaning. Exits with 1 when a file failed.
    """
    from muniment.cli.ingest_run import ingest_paths  # slow to load

    settings = Settings()
    with one_sentence_errors():
        results = run(ingest_paths(settings, paths, wait=wait, organization=organization))
    if json:
        print_json(results)
    else:
        for result in results:
            _report(result)
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
    for failure in result.failures:
        console.print(
            f"  [red]{failure.path}[/]: {failure.detail}", highlight=False, soft_wrap=True
        )
