"""Giving passages their vectors: reuse what is known, compute the rest in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from muniment.db import load_statements
from muniment.documents.chunk import contextual_text
from muniment.documents.embedding import Embedder
from muniment.documents.search_index import EmbeddingModel, SearchIndex
from muniment.jobs import RunningJob

statements = load_statements("muniment.documents")

BATCH = 128
"""Passages between two commits: a few seconds of work, lost at most once in a crash."""


@dataclass(frozen=True, slots=True)
class EmbeddingBatch:
    """The passages of some documents on their way to vectors."""

    job: RunningJob
    embedder: Embedder
    index: SearchIndex
    document_ids: Sequence[UUID]

    async def run(self) -> None:
        """Embed every passage that has no vector yet, then mark the documents."""
        model = EmbeddingModel(self.embedder.model_id, self.embedder.dimensions)
        async with self.job.unit_of_work() as work:
            done = await self.index.reuse_embeddings(work, model, self.document_ids)
        while True:
            async with self.job.unit_of_work() as work:
                waiting = await self.index.unembedded(
                    work, model, document_ids=self.document_ids, limit=BATCH
                )
                passages = (
                    await statements.passages_to_embed(work, chunk_ids=waiting) if waiting else []
                )
                if not passages:
                    await statements.finish_embedding(work, document_ids=list(self.document_ids))
                    return
            # Equal passages within the batch are computed once.
            texts = {
                row["embed_hash"]: contextual_text(row["text"], row["heading_path"], row["title"])
                for row in passages
            }
            vectors = await self.embedder.embed_passages(list(texts.values()))
            place = {digest: position for position, digest in enumerate(texts)}
            picked: np.ndarray = vectors[[place[row["embed_hash"]] for row in passages]]
            async with self.job.unit_of_work() as work:
                ids = [row["chunk_id"] for row in passages]
                await self.index.upsert_embeddings(work, model, ids, picked)
            done += len(passages)
            await self.job.progress(done, done, unit="passages")
