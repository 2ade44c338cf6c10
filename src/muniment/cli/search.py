"""`muniment search`: ranked passages with where they stand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated
from urllib.parse import urljoin

import msgspec
import typer
from rich.markup import escape

from muniment.cli.runtime import (
    console,
    local_session,
    one_sentence_errors,
    print_json,
    run,
)
from muniment.search.schemas import SearchMode, SearchRequest, SearchResponse
from muniment.settings import Settings, load_settings


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    mode: Annotated[
        SearchMode, typer.Option(help="By words, by meaning, or both.")
    ] = SearchMode.HYBRID,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Most passages to show.")] = 5,
    organization: Annotated[
        str | None, typer.Option(help="Organization, when there are several.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Search, and print the best passages with title, page or heading, and link."""
    with one_sentence_errors():
        settings = load_settings()
    request = SearchRequest(query=query, mode=mode, limit=limit)
    with one_sentence_errors():
        if settings.url is not None:
            response = search_remotely(settings, request)
        else:
            response = run(_first(search_locally(settings, [request], organization)))
    if json:
        print_json(response)
    else:
        print_response(response, settings.url or "")


def search_remotely(settings: Settings, request: SearchRequest) -> SearchResponse:
    """Ask the Muniment at MUNIMENT_URL.

    Raises:
        RemoteFailed: it could not be reached, or answered with an error.
    """
    from muniment.cli.remote import call  # slow to load

    answer = call(settings, "POST", "/v1/search", json=msgspec.to_builtins(request))
    return msgspec.convert(answer, SearchResponse)


async def search_locally(
    settings: Settings, requests: Sequence[SearchRequest], organization: str | None = None
) -> AsyncIterator[tuple[SearchRequest, SearchResponse]]:
    """Search the installation of this machine, and yield each request with its response."""
    from muniment.components import load_embedder, search_index
    from muniment.search.retrieval import search as search_passages  # slow to load

    with load_embedder(settings) as embedder:
        async with local_session(settings, organization) as local:
            index = search_index()
            for request in requests:
                yield (
                    request,
                    await search_passages(local.database, local.scope, index, embedder, request),
                )


async def _first(found: AsyncIterator[tuple[SearchRequest, SearchResponse]]) -> SearchResponse:
    [response] = [response async for _, response in found]
    return response


def print_response(response: SearchResponse, server: str = "") -> None:
    """Print ranked passages for people; `server` completes links that begin with a slash."""
    if not response.results:
        console.print("Nothing was found.")
    for rank, result in enumerate(response.results, start=1):
        place = " > ".join(result.heading_path)
        if result.page is not None:
            place = f"page {result.page}" + (f", {place}" if place else "")
        title = escape(result.title) + (f" [dim]({escape(place)})[/]" if place else "")
        console.print(f"[bold]{rank}. {title}[/]", highlight=False, soft_wrap=True)
        text = " ".join(result.text.split())
        console.print(f"   {escape(text[:300])}{'…' if len(text) > 300 else ''}", highlight=False)
        if result.url:
            link = urljoin(server, result.url)
            console.print(f"   [blue]{escape(link)}[/]", highlight=False, soft_wrap=True)
