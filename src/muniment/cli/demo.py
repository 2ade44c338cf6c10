"""`muniment demo`: the whole path once, on a sample folder."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from muniment.cli.processes import serving
from muniment.cli.runtime import console, one_sentence_errors, run
from muniment.settings import Settings, load_settings

if TYPE_CHECKING:
    from muniment.cli.ingest_run import IngestResult


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after printing.")] = False,
) -> None:
    """Start everything, ingest the sample folder, search it, print cited passages."""
    from muniment.cli.ingest_run import ingest_paths  # slow to load

    with one_sentence_errors():
        settings = load_settings()
    with (
        one_sentence_errors(),
        as_file(files("muniment") / "sample") as sample,
        serving(settings) as wait,
    ):
        console.print(f"Ingesting the sample folder {sample / 'documents'} …", soft_wrap=True)
        [result] = run(ingest_paths(settings, [sample / "documents"], wait=True))
        for failure in result.failures:
            console.print(f"  {failure.path}: {failure.detail}", soft_wrap=True)
        run(_search(settings, sample, result))
        if not once:
            console.print(
                "\nNow try [bold]muniment search[/] with a question of your own, or "
                "[bold]muniment ingest[/] with a folder of yours.",
                soft_wrap=True,
            )
            wait()


async def _search(settings: Settings, sample: Path, result: IngestResult) -> None:
    from muniment.cli.search import print_response, search_locally
    from muniment.search.schemas import Filters, SearchRequest

    queries = msgspec.json.decode((sample / "queries.json").read_bytes(), type=list[str])
    within = Filters(source_ids=(result.source_id,))
    requests = [SearchRequest(query=query, limit=3, filters=within) for query in queries]
    async for request, response in search_locally(settings, requests):
        console.print(f"\n[bold cyan]{request.query}[/]")
        print_response(response)
