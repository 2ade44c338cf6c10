"""`muniment eval`: measure relevance on a judged set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from muniment.cli.runtime import (
    console,
    one_sentence_errors,
    open_database,
    print_json,
    progress_bars,
    run,
)
from muniment.db.installation import ready_installation
from muniment.settings import Settings, load_settings

if TYPE_CHECKING:
    from muniment.search.evaluate import EvaluationResult


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
    with one_sentence_errors():
        settings = load_settings()
    with one_sentence_errors():
        result = run(_evaluate(settings, folder))
    if json:
        print_json(result)
        return
    table = Table("mode", "nDCG@10", "recall@100", title=str(folder))
    for mode in ("lexical", "semantic", "hybrid"):
        figures = getattr(result, mode)
        table.add_row(mode, f"{figures.ndcg_at_10:.4f}", f"{figures.recall_at_100:.4f}")
    console.print(table)
    console.print(
        f"{result.documents:,} documents in {result.passages:,} passages, {result.queries:,} "
        f"queries; import {result.import_seconds:.0f} s, search {result.search_seconds:.0f} s."
    )


async def _evaluate(settings: Settings, folder: Path) -> EvaluationResult:
    from muniment.components import load_embedder
    from muniment.search.evaluate import evaluate  # slow to load

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
