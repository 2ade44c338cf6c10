"""What every room's handlers have in common."""

from __future__ import annotations

from typing import Annotated, get_args, get_origin, get_type_hints

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.params import SkipValidationMarker
from litestar.routes import HTTPRoute

from muniment.app import admit_caller, create_app
from muniment.settings import Settings

PUBLIC = {"/", "/docs", "/docs/page.css", "/healthz", "/metrics", "/readyz"}


def handlers(app: Litestar) -> list[tuple[str, HTTPRouteHandler]]:
    return [
        (route.path, handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if not route.path.startswith("/schema") and "OPTIONS" not in handler.http_methods
    ]


def test_all_but_health_and_documents_needs_a_key() -> None:
    for path, handler in handlers(create_app(Settings())):
        guarded = any(
            getattr(guard, "__wrapped__", guard) is admit_caller
            for guard in handler.resolve_guards()
        )
        assert guarded is (path not in PUBLIC), path
        assert path in PUBLIC or path.startswith("/v1/"), path


def test_dependencies_are_not_validated_as_payload() -> None:
    """Else msgspec would try to read them, and fail for a transaction or a protocol."""
    app = create_app(Settings())
    for path, handler in handlers(app):
        hints = get_type_hints(handler.fn, include_extras=True)
        for name in set(hints) & set(app.dependencies):
            hint = hints[name]
            kind, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
            if kind is bytes:
                continue
            assert any(isinstance(mark, SkipValidationMarker) for mark in marks), (
                f"{path}: declare {name} as NamedDependency[SkipValidation[…]]"
            )


def test_every_handler_is_described() -> None:
    for path, handler in handlers(create_app(Settings())):
        assert path in PUBLIC or (handler.summary and handler.resolve_tags()), path
