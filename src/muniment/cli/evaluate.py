"""`muniment eval`: measure relevance on a judged set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muniment.cli.runtime import (
    console,
    one_sentence_errors,
    open_database,
    print_json,
    progress_bars,
    ready_installation,
    run,
)
from muniment.search.evaluate import EvaluationResult, evaluate
from muniment.services import load_embedder
from muniment.settings import Settings


def evaluate_folder(
    folder: Annotated[
        Path, typer.Argument(help="Folder with corpus.jsonl, queries.jsonl and qrels.tsv.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Measure relevance on a judged set (BEIR layout), one figure for each way of searching.

    The set goes through the same import and search as any document, in an organization of
    its own that is deleted afterwards.
    """
    settings = Settings()
    with one_sentence_errors():
        result = run(_evaluate(settings, folder))
    if json:
        print_json(result)
        return
    console.print(f"[bold]{folder}[/]")
    console.print(result)


async def _evaluate(settings: Settings, folder: Path) -> EvaluationResult:
    with ready_installation(settings) as target:
        async with open_database(target, settings) as database:
            embedder = load_embedder(settings)
            with progress_bars() as bars:
                bar = bars.add_task("evaluating", total=None)
                return await evaluate(
                    database,
                    embedder,
                    folder,
                    progress=lambda done, total: bars.update(bar, completed=done, total=total),
                )
