"""The table of routes in docs/http.md."""

from collections.abc import Iterator

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute, WebSocketRoute

from muniment.app import create_app
from muniment.settings import Settings
from tools.reference.markdown import first_sentence, table


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
            for handler in route.route_handlers:
                for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                    yield str(method), _path(route.path_format), _summary(handler)
        elif isinstance(route, WebSocketRoute):
            yield "WS", _path(route.path_format), first_sentence(route.route_handler.fn.__doc__)


def _path(path: str) -> str:
    return path or "/"


def _summary(handler: HTTPRouteHandler) -> str:
    summary = handler.summary
    return str(summary) if summary else first_sentence(handler.fn.__doc__)
