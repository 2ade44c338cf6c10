"""The public contract of search."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from muniment.search.fusion import Weights

LONGEST_QUERY = 4096

Ids = Annotated[tuple[UUID, ...], Meta(max_length=1000)]
Instant = Annotated[datetime, Meta(tz=True)]


class SearchMode(StrEnum):
    """Which legs run: both and fused, words alone, or meaning alone."""

    HYBRID = "hybrid"
    LEXICAL = "lexical"
    SEMANTIC = "semantic"


class Filters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Conditions on the document of a passage; all that are given must hold.

    `types` are media types, exact (`application/pdf`) or a family (`text/*`). `updated_after` and
    `updated_before` are inclusive and compare when the source says the document changed, or else
    when it was imported. `metadata` is containment: an object whose members the document's
    metadata must have.
    """

    source_ids: Ids | None = None
    document_ids: Ids | None = None
    types: (
        Annotated[tuple[Annotated[str, Meta(max_length=255)], ...], Meta(max_length=100)] | None
    ) = None
    updated_after: Instant | None = None
    updated_before: Instant | None = None
    metadata: dict[str, object] | None = None


class SearchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search over the passages of an organization, or of one workspace."""

    query: str
    workspace_id: UUID | None = None
    mode: SearchMode = SearchMode.HYBRID
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    filters: Filters = Filters()
    weights: Weights = Weights()
    explain: bool = False


class Leg(msgspec.Struct, frozen=True):
    """A passage's place in one leg; no rank when the leg did not list it among its best."""

    rank: int | None
    score: float | None


class Legs(msgspec.Struct, frozen=True):
    """What each leg made of a passage: BM25 for words, cosine similarity for meaning."""

    lexical: Leg
    semantic: Leg


class SearchResult(msgspec.Struct, frozen=True):
    """One passage. `highlights` are half-open ranges of characters (code points) of `text`."""

    chunk_id: UUID
    document_id: UUID
    title: str
    url: str | None
    text: str
    highlights: list[tuple[int, int]]
    page: int | None
    heading_path: list[str]
    score: float
    legs: Legs | UnsetType = UNSET


class Timings(msgspec.Struct, frozen=True):
    """Milliseconds of a search: cache look-up, query embedding, index and fetch, all of it."""

    cache: float
    embed: float
    search: float
    total: float


class SearchResponse(msgspec.Struct, frozen=True):
    """Passages, best first. `score` is 0 to 1 and comparable within one response only."""

    results: list[SearchResult]
    timings_ms: Timings
    cache: Literal["hit", "miss"]
