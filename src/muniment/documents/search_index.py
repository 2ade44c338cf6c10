"""The boundary between documents and whatever engine finds them.

Retrieval is two steps. An index answers `candidates` with chunk ids and each leg's rank and score;
the search room then fetches those passages by id under row-level security, which is the authority:
a lagging or leaking index can neither show a deleted passage nor one of another organization.

The structs live here, and not in the search room, so that the import can feed an index without
importing search.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from muniment.db import UnitOfWork

Vectors = NDArray[np.float32]


class EmbeddingModel(msgspec.Struct, frozen=True):
    """Identity of a vector space: vectors are comparable only within one name and length.

    `name` changes whenever the vectors would (other weights, pooling or prefix).
    """

    name: str
    dimensions: int


class IndexedPassage(msgspec.Struct, frozen=True):
    """What an index needs of one chunk to make it findable by its words."""

    chunk_id: UUID
    document_id: UUID
    title: str | None
    heading_path: Sequence[str]
    text: str


class SearchFilters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Conditions a passage's document must meet, all of them; None means no condition.

    `types` are media types, exact ("application/pdf") or a family ("text/*"). The `updated_*`
    bounds are inclusive and compare the time the source reports, or else the time of import.
    `metadata` is containment: {"team": "law"} matches {"team": "law", "year": 2024}.
    """

    workspace_id: UUID | None = None
    source_ids: tuple[UUID, ...] | None = None
    document_ids: tuple[UUID, ...] | None = None
    types: tuple[str, ...] | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    metadata: dict[str, object] | None = None


class CandidateQuery(msgspec.Struct, frozen=True):
    """One retrieval: a leg runs when its part is given.

    `words` feeds the lexical leg. `embedding`, one vector of `model.dimensions` float32 of unit
    length, feeds the semantic leg. `depth` is how many candidates each leg may contribute.
    """

    words: str | None
    embedding: Vectors | None
    model: EmbeddingModel | None
    depth: int
    filters: SearchFilters = SearchFilters()


class Candidate(msgspec.Struct, frozen=True):
    """A chunk an index proposes, with its place in each leg that ran.

    A rank (from 1) is None when the leg did not list the chunk among its `depth` best. A score may
    be known without a rank: engines complete the scores of the other leg's candidates where that
    is cheap. The lexical score is BM25 (unbounded, 0 without a common word); the semantic score is
    the cosine similarity, -1 to 1.
    """

    chunk_id: UUID
    lexical_rank: int | None
    lexical_score: float | None
    semantic_rank: int | None
    semantic_score: float | None


class SearchIndex(Protocol):
    """A search engine as the rest of Muniment sees it.

    Every method acts on the organization of `uow.scope` alone, within the caller's transaction:
    what it writes is visible with the caller's commit and undone by the caller's rollback.
    """

    async def upsert(self, uow: UnitOfWork, passages: Sequence[IndexedPassage]) -> None:
        """Make passages findable by their words; an already indexed chunk id is replaced.

        Their documents must exist in this transaction. Costs a constant number of round trips.
        """
        ...

    async def upsert_embeddings(
        self,
        uow: UnitOfWork,
        model: EmbeddingModel,
        chunk_ids: Sequence[UUID],
        vectors: Vectors,
    ) -> int:
        """Make chunks findable by meaning: `vectors` is float32 (n, model.dimensions), unit length.

        Returns how many were stored: chunks deleted since their text was read are skipped.
        Raises `EmbeddingShapeError` when the shapes disagree.
        """
        ...

    async def reuse_embeddings(
        self, uow: UnitOfWork, model: EmbeddingModel, document_ids: Sequence[UUID]
    ) -> int:
        """Copy vectors of equal passages (same `embed_hash`) to the documents' bare chunks.

        Returns how many chunks were served without running the model.
        """
        ...

    async def unembedded(
        self,
        uow: UnitOfWork,
        model: EmbeddingModel,
        *,
        document_ids: Sequence[UUID] | None = None,
        limit: int = 1000,
    ) -> list[UUID]:
        """Return chunk ids without a vector of `model`, oldest first, of some documents or all."""
        ...

    async def delete(self, uow: UnitOfWork, document_ids: Sequence[UUID]) -> None:
        """Forget every passage of the documents, words and vectors."""
        ...

    async def candidates(self, uow: UnitOfWork, query: CandidateQuery) -> list[Candidate]:
        """Return the union of the legs' best chunks, unordered, at most `2 * depth`."""
        ...

    async def rebuild(
        self, uow: UnitOfWork, *, after: UUID | None = None, limit: int = 1000
    ) -> UUID | None:
        """Re-index the words of the next `limit` chunks in id order, starting behind `after`.

        Returns the last chunk id done, to be passed as `after` in the next transaction, or None
        when the organization is done.
        """
        ...
