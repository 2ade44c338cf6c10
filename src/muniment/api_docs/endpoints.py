"""The documents page and its style sheet."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from litestar import MediaType, Request, Response, get

from muniment.api_docs.openapi import openapi_document
from muniment.api_docs.page import render_page


@get("/docs", media_type=MediaType.HTML, include_in_schema=False)
async def docs_page(request: Request[Any, Any, Any]) -> str:
    """Describe the interface to people; the page is made once."""
    page: str | None = request.app.state.get("docs_page")
    if page is None:
        page = render_page(openapi_document(request.app))
        request.app.state["docs_page"] = page
    return page


@get("/docs/page.css", include_in_schema=False, sync_to_thread=False)
def docs_style() -> Response[bytes]:
    """Return the style sheet of the documents page."""
    style = files("muniment.api_docs").joinpath("page.css").read_bytes()
    return Response(style, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


handlers = [docs_page, docs_style]
