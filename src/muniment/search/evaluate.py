"""Relevance on a judged collection, through the same import and the same search as any other.

The collection goes into a temporary organization; its queries run in each mode; nDCG@10 (Jarvelin
and Kekalainen, 2002) and recall@100 are computed by ir-measures.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from uuid import UUID

import msgspec

from muniment.db import Database, TenantScope, UnitOfWork, load_statements, new_id
from muniment.documents.chunk import Chunk, Chunker, contextual_text
from muniment.documents.embedding import Embedder
from muniment.documents.passages import NewContent, settle
from muniment.documents.search_index import EmbeddingModel, SearchIndex
from muniment.documents.token_count import TokenCounter
from muniment.search.errors import EvaluationUnusable
from muniment.search.judged_set import (
    JudgedDocument,
    JudgedSet,
    Judgements,
    count_documents,
    read_judged_set,
)
from muniment.search.postgres import PostgresSearchIndex
from muniment.search.retrieval import retrieve
from muniment.search.schemas import LONGEST_QUERY, SearchMode, SearchRequest
from muniment.tenancy.authentication import local_scope

statements = load_statements("muniment.search")
document_statements = load_statements("muniment.documents")

PASSAGES = 250
"""Passages asked for by a query: enough for 100 documents that are cut into a few each."""
BATCH_DOCUMENTS = 64

Progress = Callable[[int, int], object]
"""Told how many of how many documents have been imported."""


class ModeFigures(msgspec.Struct, frozen=True):
    """Means over the queries that have a relevant document."""

    ndcg_at_10: float = msgspec.field(name="ndcg@10")
    recall_at_100: float = msgspec.field(name="recall@100")


class EvaluationResult(msgspec.Struct, frozen=True):
    """Relevance by mode, with what it was measured on; times are in seconds."""

    lexical: ModeFigures
    semantic: ModeFigures
    hybrid: ModeFigures
    documents: int
    passages: int
    queries: int
    import_seconds: float
    search_seconds: float


@dataclass(slots=True)
class _Import:
    """A collection on its way into its temporary organization."""

    database: Database
    scope: TenantScope
    embedder: Embedder
    index: SearchIndex
    chunker: Chunker
    workspace_id: UUID
    source_id: UUID
    passages: int = 0

    async def add(self, documents: Sequence[JudgedDocument]) -> None:
        contents = await asyncio.to_thread(
            lambda: [_content(self.chunker, document) for document in documents]
        )
        async with self.database.unit_of_work(self.scope) as work:
            await statements.add_evaluated_documents(
                work,
                workspace_id=self.workspace_id,
                source_id=self.source_id,
                document_ids=[content.document_id for content in contents],
                external_ids=[str(document.id).replace("\0", "") for document in documents],
                titles=[content.title for content in contents],
                hashes=[content.content_hash for content in contents],
            )
            await settle(work, self.index, contents, [])
        self.passages += sum(content.chunk_count for content in contents)
        await self._embed([content.document_id for content in contents])

    async def _embed(self, document_ids: list[UUID]) -> None:
        model = EmbeddingModel(self.embedder.model_id, self.embedder.dimensions)
        while True:
            async with self.database.unit_of_work(self.scope) as work:
                waiting = await self.index.unembedded(
                    work, model, document_ids=document_ids, limit=256
                )
                rows = await document_statements.passages_to_embed(work, chunk_ids=waiting)
            if not rows:
                return
            texts = [
                contextual_text(row["text"], row["heading_path"], row["title"]) for row in rows
            ]
            vectors = await self.embedder.embed_passages(texts)
            async with self.database.unit_of_work(self.scope) as work:
                ids = [row["chunk_id"] for row in rows]
                await self.index.upsert_embeddings(work, model, ids, vectors)


async def evaluate(
    database: Database,
    embedder: Embedder,
    folder: Path,
    progress: Progress = lambda _done, _total: None,
) -> EvaluationResult:
    """Measure every mode on the collection in `folder` (see `judged_set`).

    Passages have the token budget of the embedder, as an installation's have. The temporary
    organization is deleted afterwards, also after a failure.

    Raises:
        EvaluationUnusable: the folder is no such collection, or ir-measures is not installed.
    """
    _require_measures()
    judged = read_judged_set(folder)
    index = PostgresSearchIndex()
    started = perf_counter()
    async with _temporary_import(database, embedder, index) as target:
        total, done = count_documents(folder), 0
        for batch in judged.batches(BATCH_DOCUMENTS):
            await target.add(batch)
            done += len(batch)
            progress(done, total)
        imported = perf_counter()
        figures = {
            mode: await _measure(target, judged, mode)
            for mode in (SearchMode.LEXICAL, SearchMode.SEMANTIC, SearchMode.HYBRID)
        }
        return EvaluationResult(
            lexical=figures[SearchMode.LEXICAL],
            semantic=figures[SearchMode.SEMANTIC],
            hybrid=figures[SearchMode.HYBRID],
            documents=done,
            passages=target.passages,
            queries=len(judged.queries),
            import_seconds=round(imported - started, 1),
            search_seconds=round(perf_counter() - imported, 1),
        )


@asynccontextmanager
async def _temporary_import(
    database: Database, embedder: Embedder, index: SearchIndex
) -> AsyncIterator[_Import]:
    org_id, workspace_id, source_id = new_id(), new_id(), new_id()
    async with database.operator() as work:
        await statements.create_evaluation(
            work,
            org_id=org_id,
            workspace_id=workspace_id,
            source_id=source_id,
            name=f"Evaluation {org_id}",
        )
    try:
        scope = await local_scope(database, str(org_id))
        chunker = Chunker(TokenCounter(embedder.tokenizer), embedder.max_tokens)
        yield _Import(database, scope, embedder, index, chunker, workspace_id, source_id)
    finally:
        tag = ""
        while tag != "DELETE 0":
            async with database.operator() as work:
                tag = await statements.drop_evaluated_documents(work, org_id=org_id)
        async with database.operator() as work:
            await statements.drop_evaluation(work, org_id=org_id)


def _content(chunker: Chunker, document: JudgedDocument) -> NewContent:
    title = (document.title or "").replace("\0", "").strip()
    # A document that is all title can be found by nothing else.
    text = (document.text or "").replace("\0", "").strip() or title
    chunks = chunker.chunk(text, title=title or None, markdown=False)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()

    async def batches(_work: UnitOfWork) -> AsyncIterator[list[Chunk]]:
        yield chunks

    return NewContent(
        document_id=new_id(),
        content_hash=digest,
        title=title,
        media_type="text/plain",
        metadata={},
        page_count=None,
        text_hash=digest,
        chunk_count=len(chunks),
        chunk_batches=batches,
    )


async def _measure(target: _Import, judged: JudgedSet, mode: SearchMode) -> ModeFigures:
    run: dict[str, dict[str, float]] = {}
    for query_id, text in judged.queries.items():
        run[query_id] = await _ranked_documents(target, text, mode)
    return _figures(judged.judgements, run)


async def _ranked_documents(target: _Import, text: str, mode: SearchMode) -> dict[str, float]:
    """Return documents by name with the score of their best passage."""
    request = SearchRequest(query=text[:LONGEST_QUERY], mode=mode, limit=PASSAGES)
    found = await retrieve(target.database, target.scope, target.index, target.embedder, request)
    best: dict[UUID, float] = {}
    for row, one in found.passages():
        best.setdefault(row["document_id"], one.score)
    async with target.database.unit_of_work(target.scope, read_only=True) as work:
        rows = await statements.evaluated_names(work, document_ids=list(best))
    return {row["external_id"]: best[row["document_id"]] for row in rows}


def _require_measures() -> None:
    try:
        import ir_measures  # noqa: F401
    except ImportError as error:
        raise EvaluationUnusable(
            "Evaluation needs ir-measures: install muniment with the extra [eval]."
        ) from error


def _figures(judgements: Judgements, run: dict[str, dict[str, float]]) -> ModeFigures:
    import ir_measures

    ndcg, recall = ir_measures.nDCG @ 10, ir_measures.R @ 100
    measured = ir_measures.calc_aggregate([ndcg, recall], judgements, run)
    return ModeFigures(round(measured[ndcg], 4), round(measured[recall], 4))
