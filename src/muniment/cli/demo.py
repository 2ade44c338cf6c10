"""`muniment demo`: the whole path once, on a sample folder."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from muniment.cli.ingest import ingest_paths
from muniment.cli.processes import serving
from muniment.cli.runtime import (
    console,
    one_sentence_errors,
    open_database,
    ready_installation,
    run,
    scope_of_command,
)
from muniment.cli.search import print_response, search_in
from muniment.search.schemas import SearchRequest
from muniment.services import load_embedder
from muniment.settings import Settings


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after printing.")] = False,
) -> None:
    """Start everything, ingest the sample folder, search it, print cited passages."""
    settings = Settings()
    with one_sentence_errors(), serving(settings) as wait:
        with as_file(files("muniment") / "sample") as folder:
            console.print(f"Ingesting the sample folder {folder} …", soft_wrap=True)
            results = run(ingest_paths(settings, [folder], wait=True))
            for failure in results[0].failures:
                console.print(f"  {failure.path}: {failure.detail}", soft_wrap=True)
            run(_search(settings, folder))
        if not once:
            console.print(
                "\nNow try [bold]muniment search[/] with a question of your own, or "
                "[bold]muniment ingest[/] with a folder of yours.",
                soft_wrap=True,
            )
            wait()


async def _search(settings: Settings, folder: Path) -> None:
    queries = msgspec.json.decode((folder / "queries.json").read_bytes(), type=list[str])
    with ready_installation(settings) as target, load_embedder(settings) as embedder:
        async with open_database(target, settings) as database:
            scope = await scope_of_command(database, None)
            for query in queries:
                console.print(f"\n[bold cyan]{query}[/]")
                request = SearchRequest(query=query, limit=3)
                print_response(await search_in(database, scope, embedder, request))
