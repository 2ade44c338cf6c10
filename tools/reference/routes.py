"""The table of routes in docs/http.md."""

from collections.abc import Iterator

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute, WebSocketRoute

from muniment.app import create_app
from muniment.settings import Settings
from tools.reference.markdown import first_sentence, table

FRAMEWORK = {"/schema/openapi.json": "This interface as OpenAPI 3.1."}
"""Routes that the framework adds and that belong to the contract; it adds others as well."""


def render() -> str:
    """Return a table with a row for each method of each route, by path."""
    app = create_app(Settings())
    rows = sorted(routes(app), key=lambda row: (row[1], row[0]))
    shown = ((f"`{method}`", f"`{path}`", summary) for method, path, summary in rows)
    return table(("Method", "Path", "What it does"), shown)


def routes(app: Litestar) -> Iterator[tuple[str, str, str]]:
    """Yield method, path and summary of each route of the application."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            path = route.path_format or "/"
            for handler in route.route_handlers:
                if not handler.fn.__module__.startswith("litestar."):
                    summary = _summary(handler)
                elif path in FRAMEWORK:
                    summary = FRAMEWORK[path]
                else:
                    continue
                for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                    yield str(method), path, summary
        elif isinstance(route, WebSocketRoute):
            yield "WS", route.path_format or "/", first_sentence(route.route_handler.fn.__doc__)


def _summary(handler: HTTPRouteHandler) -> str:
    text = str(handler.summary or first_sentence(handler.fn.__doc__))
    return text if text.endswith(".") or not text else f"{text}."
