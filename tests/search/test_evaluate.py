from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from muniment.db import Database
from muniment.documents.embedding import Embedder
from muniment.search.errors import EvaluationUnusable
from muniment.search.evaluate import evaluate


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    with Embedder.load(threads=1) as embedder:
        yield embedder


def write(folder: Path, *, qrels: str, qrels_name: str = "qrels.tsv") -> Path:
    documents = [
        {"_id": "d1", "title": "Cats", "text": "A cat sleeps on the windowsill."},
        {"_id": "d2", "title": "", "text": "Revenue and costs of the company."},
        {"_id": "d3", "text": "The wing of an aircraft."},
        {"_id": "d4", "title": "Empty", "text": ""},
        {"_id": "d5"},
        {"_id": 6, "text": "A number for a name and a NUL \x00 in the text."},
        {"_id": "d1", "text": "The same name again."},
    ]
    queries = [
        {"_id": "q1", "text": "sleeping cat"},
        {"_id": "q2", "text": "aircraft wing"},
        {"_id": "q3", "text": "nothing is relevant to this"},
        {"_id": "q4", "text": "number name"},
    ]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)) + "\n\n")
    path = folder / qrels_name
    path.parent.mkdir(exist_ok=True)
    path.write_text(qrels)
    return folder


@pytest.mark.parametrize("name", ["qrels.tsv", "qrels/test.tsv"])
async def test_a_collection_is_measured_and_leaves_nothing_behind(
    database: Database, embedder: Embedder, tmp_path: Path, name: str
) -> None:
    seen: list[tuple[int, int]] = []
    folder = write(
        tmp_path,
        qrels="query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td3\t1\nq3\td2\t0\nq4\t6\t1\n",
        qrels_name=name,
    )
    result = await evaluate(
        database, embedder, folder, progress=lambda done, total: seen.append((done, total))
    )
    assert result.queries == 3
    assert result.documents == 6
    assert seen[-1][0] == 6
    figures = msgspec.to_builtins(result)
    for mode in ("lexical", "semantic", "hybrid"):
        assert figures[mode] == {"ndcg@10": 1.0, "recall@100": 1.0}
    async with database.operator() as work:
        for table in ("organizations", "documents", "chunks", "lexical_entries", "embeddings"):
            assert await work.connection.fetchval(f"SELECT count(*) FROM {table}") == 0


@pytest.mark.parametrize("qrels", ["q1\td1\n", "q1\td1\tmany\nq1\td1\tmany\n", "q1\td1\t0\n", ""])
async def test_a_collection_without_judgements_is_refused(
    database: Database, embedder: Embedder, tmp_path: Path, qrels: str
) -> None:
    with pytest.raises(EvaluationUnusable):
        await evaluate(database, embedder, write(tmp_path, qrels=qrels))


async def test_another_folder_is_refused(
    database: Database, embedder: Embedder, tmp_path: Path
) -> None:
    with pytest.raises(EvaluationUnusable, match="BEIR"):
        await evaluate(database, embedder, tmp_path)
    folder = write(tmp_path, qrels="q1\td1\t1\n")
    (folder / "corpus.jsonl").write_text("{}\n")
    with pytest.raises(EvaluationUnusable, match="Line 1"):
        await evaluate(database, embedder, folder)
