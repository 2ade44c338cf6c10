"""Search over HTTP."""

from __future__ import annotations

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation

from muniment.db import Database, TenantScope
from muniment.documents.embedding import Embedder
from muniment.documents.search_index import SearchIndex
from muniment.search.retrieval import search
from muniment.search.schemas import SearchRequest, SearchResponse
from muniment.tenancy.permissions import Action


@post(
    "/v1/search", action=Action.SEARCH, status_code=200, tags=["search"], summary="Search passages"
)
async def search_passages(
    data: JSONBody[SearchRequest],
    database: NamedDependency[SkipValidation[Database]],
    tenant: NamedDependency[SkipValidation[TenantScope]],
    search_index: NamedDependency[SkipValidation[SearchIndex]],
    embedder: NamedDependency[SkipValidation[Embedder]],
) -> SearchResponse:
    """Return the passages that answer a query best, with title, page, headings and link.

    Takes the database rather than a unit of work: the query is embedded before a transaction
    begins, so that none waits for the model.
    """
    return await search(database, tenant, search_index, embedder, data)


handlers = [search_passages]
