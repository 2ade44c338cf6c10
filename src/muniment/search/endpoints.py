"""`POST /v1/search`."""

from __future__ import annotations

from litestar import post

from muniment.db import Database, TenantScope
from muniment.documents.embedding import Embedder
from muniment.documents.search_index import SearchIndex
from muniment.search.retrieval import search
from muniment.search.schemas import SearchRequest, SearchResponse


@post("/v1/search", status_code=200, tags=["search"], summary="Search passages")
async def search_passages(
    data: SearchRequest,
    database: Database,
    scope: TenantScope,
    search_index: SearchIndex,
    embedder: Embedder,
) -> SearchResponse:
    """Return the passages that answer a query best, with title, page, headings and link."""
    return await search(database, scope, search_index, embedder, data)
