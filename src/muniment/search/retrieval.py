"""One search from query to passages: embed, find candidates, fuse, fetch under row security."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Protocol

import msgspec

from muniment.db import Database, TenantScope, UnitOfWork, WorkspaceId, load_statements
from muniment.documents.search_index import (
    Candidate,
    CandidateQuery,
    EmbeddingModel,
    SearchFilters,
    SearchIndex,
    Vectors,
)
from muniment.errors import MunimentError
from muniment.search.errors import FilterNotAcceptable, QueryNotAcceptable
from muniment.search.fusion import Fused, fuse
from muniment.search.highlights import highlights
from muniment.search.observers import search_ended, search_stage
from muniment.search.schemas import (
    LONGEST_QUERY,
    Filters,
    Leg,
    Legs,
    SearchMode,
    SearchRequest,
    SearchResponse,
    SearchResult,
    Timings,
)
from muniment.tenancy.errors import WorkspaceNotFound
from muniment.tenancy.first_start import workspace_of

statements = load_statements("muniment.search")

LEAST_DEPTH = 100
"""Candidates each leg is asked for; more changed no figure of benchmarks/relevance.py."""
SPARE_CANDIDATES = 20
"""Fetched beyond the limit, for candidates that the index holds and the tables do not."""


class QueryEmbedder(Protocol):
    """What search needs of the embedding model (`documents.embedding.Embedder`)."""

    model_id: str
    dimensions: int

    async def embed_query(self, text: str) -> Vectors:
        """Return a float32 vector of shape (dimensions,) and unit length."""
        ...


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What a search found, best first, before it is made presentable."""

    rows: Sequence[Any]
    """Passages as read under row security."""
    fused: Sequence[Fused]
    """The candidates in their order; some of them have no row."""
    embed_seconds: float
    search_seconds: float

    def passages(self) -> Iterator[tuple[Any, Fused]]:
        """Yield each row with what the legs made of it."""
        place = {one.chunk_id: one for one in self.fused}
        for row in self.rows:
            yield row, place[row["chunk_id"]]


async def search(
    database: Database,
    scope: TenantScope,
    index: SearchIndex,
    embedder: QueryEmbedder,
    request: SearchRequest,
) -> SearchResponse:
    """Search the scope's organization, or only its workspace where the scope has one.

    Raises:
        QueryNotAcceptable: the query is empty or too long.
        FilterNotAcceptable: a filter holds what no document can.
        WorkspaceNotFound: the workspace does not exist or is not the caller's.
    """
    start = perf_counter()
    try:
        with search_stage(request.mode, "total"):
            found = await retrieve(database, scope, index, embedder, request)
    except BaseException as error:
        refused = isinstance(error, MunimentError) and error.status < 500
        search_ended(request.mode, "refused" if refused else "failed")
        raise
    search_ended(request.mode, "found" if found.rows else "nothing")
    results = [_result(row, one, request) for row, one in found.passages()]
    timings = Timings(
        cache=0.0,
        embed=_milliseconds(found.embed_seconds),
        search=_milliseconds(found.search_seconds),
        total=_milliseconds(perf_counter() - start),
    )
    # Results are not cached yet, so each search is a miss.
    return SearchResponse(results, timings, cache="miss")


async def retrieve(
    database: Database,
    scope: TenantScope,
    index: SearchIndex,
    embedder: QueryEmbedder,
    request: SearchRequest,
) -> Retrieved:
    """Find up to `request.limit` passages; raises as `search` does.

    The query is embedded before the transaction begins, so that no connection waits for it.
    """
    start = perf_counter()
    require_acceptable(request)
    filters = effective_filters(scope, request)
    embedding, model = None, None
    if request.mode is not SearchMode.LEXICAL:
        with search_stage(request.mode, "embed"):
            embedding = await embedder.embed_query(request.query)
        model = EmbeddingModel(embedder.model_id, embedder.dimensions)
    embedded = perf_counter()
    query = CandidateQuery(
        words=None if request.mode is SearchMode.SEMANTIC else request.query,
        embedding=embedding,
        model=model,
        depth=max(LEAST_DEPTH, 2 * request.limit),
        filters=filters,
    )
    async with database.unit_of_work(scope, read_only=True, replica=True) as work:
        if request.workspace_id is not None:
            await workspace_of(work, WorkspaceId(request.workspace_id))
        with search_stage(request.mode, "candidates"):
            fused = ranked(await index.candidates(work, query), request)
        with search_stage(request.mode, "fetch"):
            rows = await _fetch(work, fused, filters, request.limit)
    return Retrieved(rows, fused, embedded - start, perf_counter() - embedded)


def require_acceptable(request: SearchRequest) -> None:
    """Check what types cannot express; see `search` for the errors."""
    query = request.query
    if not query.strip() or len(query) > LONGEST_QUERY:
        raise QueryNotAcceptable(
            errors=[{"pointer": "/query", "detail": f"1 to {LONGEST_QUERY} characters, not blank"}]
        )
    if request.weights.lexical + request.weights.semantic <= 0:
        raise QueryNotAcceptable(
            "At least one leg must have a weight above 0.",
            errors=[{"pointer": "/weights", "detail": "at least one weight above 0"}],
        )
    for name in ("types", "metadata"):
        # Postgres holds no NUL in text or jsonb, so no document can match one.
        encoded = msgspec.json.encode(getattr(request.filters, name))
        if rb"\u0000" in encoded.replace(rb"\\", b""):
            raise FilterNotAcceptable(
                "A filter holds a NUL character, which no document can have.",
                errors=[{"pointer": f"/filters/{name}", "detail": "no NUL characters"}],
            )


def effective_filters(scope: TenantScope, request: SearchRequest) -> SearchFilters:
    """Join the request's filters with the workspace that caller and request are limited to.

    Raises:
        WorkspaceNotFound: the caller is limited to another workspace than the one asked for.
        FilterNotAcceptable: a time lies outside of what can be compared.
    """
    workspace_id = request.workspace_id
    if scope.workspace_id is not None:
        if workspace_id not in (None, scope.workspace_id):
            raise WorkspaceNotFound
        workspace_id = scope.workspace_id
    filters: Filters = request.filters
    return SearchFilters(
        workspace_id=workspace_id,
        source_ids=filters.source_ids,
        document_ids=filters.document_ids,
        types=filters.types,
        updated_after=_utc(filters.updated_after, "updated_after"),
        updated_before=_utc(filters.updated_before, "updated_before"),
        metadata=filters.metadata or None,
    )


def ranked(candidates: Sequence[Candidate], request: SearchRequest) -> list[Fused]:
    """Order candidates by the mode's score, best first."""
    if request.mode is SearchMode.HYBRID:
        return fuse(candidates, request.weights)
    lexical = request.mode is SearchMode.LEXICAL
    scored = [
        Fused(one.chunk_id, (one.lexical_score if lexical else one.semantic_score) or 0.0, one)
        for one in candidates
    ]
    top = max((one.score for one in scored), default=0.0)
    if lexical and top > 0:
        # BM25 has no upper bound; relative to the best it is as readable as the other modes.
        scored = [msgspec.structs.replace(one, score=one.score / top) for one in scored]
    scored.sort(key=lambda one: (-one.score, one.chunk_id))
    return scored


async def _fetch(
    work: UnitOfWork, fused: Sequence[Fused], filters: SearchFilters, limit: int
) -> list[Any]:
    if not fused:
        return []
    rows: list[Any] = await statements.fetch_passages(
        work,
        chunk_ids=[one.chunk_id for one in fused[: limit + SPARE_CANDIDATES]],
        workspace_id=filters.workspace_id,
        limit=limit,
    )
    return rows


def _result(row: Any, fused: Fused, request: SearchRequest) -> SearchResult:
    return SearchResult(
        chunk_id=row["chunk_id"],
        document_id=row["document_id"],
        title=row["title"],
        url=row["url"],
        text=row["text"],
        highlights=highlights(request.query, row["text"]),
        page=row["page"],
        heading_path=row["heading_path"],
        score=round(fused.score, 6),
        legs=_legs(fused.candidate) if request.explain else msgspec.UNSET,
    )


def _legs(candidate: Candidate) -> Legs:
    return Legs(
        Leg(candidate.lexical_rank, candidate.lexical_score),
        Leg(candidate.semantic_rank, candidate.semantic_score),
    )


def _utc(moment: datetime | None, name: str) -> datetime | None:
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise FilterNotAcceptable(
            "A time lies outside of the years 1 to 9999.",
            errors=[{"pointer": f"/filters/{name}", "detail": "outside of the years 1 to 9999"}],
        ) from error


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
