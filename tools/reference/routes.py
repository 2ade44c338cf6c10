"""The tables of routes and error codes in docs/http.md."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute, WebSocketRoute

import muniment
from muniment.app import create_app
from muniment.errors import MunimentError
from muniment.settings import Settings
from tools.reference.markdown import first_sentence, table

FRAMEWORK = {"/schema/openapi.json": "This interface as OpenAPI 3.1."}
"""Routes that the framework adds and that belong to the contract; it adds others as well."""


def render() -> str:
    """Return a table of each method of each route, by path, and one of all error codes."""
    rows = sorted(routes(create_app(Settings())), key=lambda row: (row[1], row[0]))
    shown = ((f"`{method}`", f"`{path}`", summary) for method, path, summary in rows)
    codes = ((str(error.status), f"`{error.code}`", _meaning(error)) for error in errors())
    return (
        table(("Method", "Path", "What it does"), shown)
        + "\n## Error codes\n\n"
        + table(("Status", "Code", "What it means"), codes)
    )


def errors() -> list[type[MunimentError]]:
    """Return the errors that a caller may be told, or find on a job or document, by status.

    They are those of the `errors` modules. Others, of commands and processes, would be among
    them or not, depending on what else this process has imported. Where rooms share a code, the
    first in the order of the modules' names speaks for it.
    """
    for module in pkgutil.walk_packages(muniment.__path__, "muniment."):
        if module.name.endswith("errors") and not module.name.startswith("muniment.cli."):
            importlib.import_module(module.name)
    by_code: dict[str, type[MunimentError]] = {}
    for error in sorted(_errors_below(MunimentError), key=lambda each: each.__module__):
        by_code.setdefault(error.code, error)
    return sorted(by_code.values(), key=lambda error: (error.status, error.code))


def _errors_below(parent: type[MunimentError]) -> Iterator[type[MunimentError]]:
    module = parent.__module__
    is_told = module.endswith(("errors", ".problems")) and module.startswith("muniment.")
    if is_told and "code" in vars(parent):
        yield parent
    for child in parent.__subclasses__():
        yield from _errors_below(child)


def _meaning(error: type[MunimentError]) -> str:
    return first_sentence(inspect.getdoc(error))


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
