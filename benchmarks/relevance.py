"""Relevance by mode on judged collections: ours beside the plain references, in one run.

Ours is `muniment eval`: the real import and the real search, with the settings of a fresh install.
The references are what one would write in an afternoon, on whole documents: bm25s (stemmed, its
defaults), the same MiniLM alone, and reciprocal rank fusion (k = 60) of both.

    python -m benchmarks.relevance [--json] DIR...

DIR is a folder in BEIR layout. One table, then one JSON line. Embeds every collection twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import bm25s
import ir_measures
import msgspec
import numpy as np
import Stemmer

from muniment.cli.runtime import open_database, ready_installation
from muniment.components import load_embedder
from muniment.documents.embedding import Embedder
from muniment.search.evaluate import evaluate
from muniment.search.judged_set import JudgedDocument, JudgedSet, read_judged_set
from muniment.settings import Settings

DEPTH = 1000
RRF_K = 60
REFERENCE_TOKENS = 256
MEASURES = {"ndcg@10": ir_measures.nDCG @ 10, "recall@100": ir_measures.R @ 100}

Ranking = dict[str, dict[str, float]]


def main() -> None:
    arguments = _arguments()
    measured = {folder.name: asyncio.run(_both(folder)) for folder in arguments.folders}
    report = {
        "benchmark": "relevance",
        "data": measured,
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "repeat_with": " ".join(["python -m benchmarks.relevance", *sys.argv[1:]]),
    }
    if not arguments.json:
        _print_table(measured)
    print(json.dumps(report))


async def _both(folder: Path) -> dict[str, Any]:
    settings = Settings()
    judged = read_judged_set(folder)
    with ready_installation(settings) as target, load_embedder(settings) as embedder:
        async with open_database(target, settings) as database:
            ours = msgspec.to_builtins(await evaluate(database, embedder, folder))
    with Embedder.load(max_tokens=REFERENCE_TOKENS) as embedder:
        references = _references(judged, embedder)
    return {
        "ours": {mode: ours[mode] for mode in ("lexical", "semantic", "hybrid")},
        "references": references,
        "ratio of hybrid to RRF": round(
            ours["hybrid"]["ndcg@10"] / references["rrf"]["ndcg@10"], 3
        ),
        "passages": ours["passages"],
        "queries": ours["queries"],
    }


def _references(judged: JudgedSet, embedder: Embedder) -> dict[str, dict[str, float]]:
    documents = [document for batch in judged.batches(1000) for document in batch]
    names = [str(document.id) for document in documents]
    texts = [_whole(document) for document in documents]
    bm25 = _bm25(judged, names, texts)
    minilm = _minilm(judged, names, texts, embedder)
    runs = {"bm25s": bm25, "minilm": minilm, "rrf": _rrf(bm25, minilm)}
    return {name: _figures(judged, run) for name, run in runs.items()}


def _whole(document: JudgedDocument) -> str:
    return f"{document.title or ''} {document.text or ''}".strip()


def _bm25(judged: JudgedSet, names: list[str], texts: list[str]) -> Ranking:
    stemmer = Stemmer.Stemmer("english")
    retriever = bm25s.BM25()
    retriever.index(
        bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False),
        show_progress=False,
    )
    run: Ranking = {}
    for query_id, text in judged.queries.items():
        tokens = bm25s.tokenize(text, stopwords="en", stemmer=stemmer, show_progress=False)
        found, scores = retriever.retrieve(
            tokens, k=min(DEPTH, len(names)), show_progress=False, return_as="tuple"
        )
        run[query_id] = {
            names[place]: float(score)
            for place, score in zip(found[0], scores[0], strict=True)
            if score > 0
        }
    return run


def _minilm(judged: JudgedSet, names: list[str], texts: list[str], embedder: Embedder) -> Ranking:
    vectors = embedder.embed(texts)
    queries = embedder.embed(list(judged.queries.values()))
    run: Ranking = {}
    for query_id, query in zip(judged.queries, queries, strict=True):
        cosines = vectors @ query
        best = np.argsort(-cosines)[:DEPTH]
        run[query_id] = {names[place]: float(cosines[place]) for place in best}
    return run


def _rrf(*runs: Ranking) -> Ranking:
    """Fuse by reciprocal ranks (Cormack, Clarke and Buettcher, SIGIR 2009)."""
    fused: Ranking = {}
    for run in runs:
        for query_id, scores in run.items():
            of_query = fused.setdefault(query_id, {})
            order = sorted(scores, key=lambda name: -scores[name])
            for rank, name in enumerate(order, start=1):
                of_query[name] = of_query.get(name, 0) + 1 / (RRF_K + rank)
    return fused


def _figures(judged: JudgedSet, run: Ranking) -> dict[str, float]:
    found = ir_measures.calc_aggregate(MEASURES.values(), judged.judgements, run)
    return {name: round(found[measure], 4) for name, measure in MEASURES.items()}


def _print_table(measured: dict[str, Any]) -> None:
    print(f"{'collection':14}{'run':14}{'nDCG@10':>10}{'recall@100':>12}")
    for name, both in measured.items():
        for part in ("references", "ours"):
            for run, figures in both[part].items():
                values = f"{figures['ndcg@10']:10.4f}{figures['recall@100']:12.4f}"
                print(f"{name:14}{run:14}{values}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Relevance beside the plain references.")
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
