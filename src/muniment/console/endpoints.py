"""The pages, which are the same for everybody: what they show comes through the API."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import SkipValidation

from muniment.settings import Settings

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from outside, nothing inline, in nobody's frame."""

PAGES = {
    "/sign-in": "Page: sign in",
    "/sign-up": "Page: sign up",
    "/forgot-password": "Page: ask for a link to choose a password",
    "/reset-password": "Page: choose a password",
    "/accept-invitation": "Page: accept an invitation",
    "/account": "Page: one's account, sessions and invitations",
}
_STATIC = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("muniment.console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _page(path: str, summary: str) -> HTTPRouteHandler:
    template = f"{path[1:].replace('-', '_')}.html"

    @get(
        path,
        media_type=MediaType.HTML,
        include_in_schema=False,
        name=f"page:{path}",
        summary=summary,
    )
    async def page(settings: NamedDependency[SkipValidation[Settings]]) -> Response[str]:
        return Response(
            _templates()
            .get_template(template)
            .render(
                sign_up=settings.sign_up,
                oidc=settings.oidc_name if settings.oidc_issuer is not None else None,
                mail=settings.smtp_url is not None,
            ),
            media_type=MediaType.HTML,
            headers={
                "Content-Security-Policy": CONTENT_SECURITY_POLICY,
                "Cache-Control": "no-store",
            },
        )

    return page


def _static(name: str, media_type: str) -> HTTPRouteHandler:
    @get(
        f"/static/{name}",
        include_in_schema=False,
        name=f"static:{name}",
        summary="Part of the pages",
    )
    async def static() -> Response[Any]:
        return Response(
            files("muniment.console").joinpath("static", name).read_bytes(),
            media_type=media_type,
            headers={"Cache-Control": "max-age=3600"},
        )

    return static


handlers: list[HTTPRouteHandler] = [
    *(_page(path, summary) for path, summary in PAGES.items()),
    *(_static(name, media_type) for name, media_type in _STATIC.items()),
]
