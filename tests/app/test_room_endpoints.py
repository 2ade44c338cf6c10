"""What every room's handlers have in common."""

from __future__ import annotations

from typing import Annotated, get_args, get_origin, get_type_hints

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.params import SkipValidationMarker
from litestar.routes import HTTPRoute

from muniment.admission import (
    action_of,
    admit_anyone,
    admit_member,
    admit_operator,
    admit_person,
)
from muniment.app import create_app
from muniment.console.endpoints import PAGES
from muniment.settings import Settings

PUBLIC = {"/", "/docs", "/docs/page.css", "/healthz", "/metrics", "/readyz"}
OPERATIONS = {"/v1/doctor", "/v1/objectives"}
"""They tell of the whole installation."""
ANYONE = {
    "/v1/invitations/accept",
    "/v1/password-resets",
    "/v1/password-resets/complete",
    "/v1/sign-in",
    "/v1/sign-in/oidc",
    "/v1/sign-in/methods",
    "/v1/sign-in/oidc/callback",
    "/v1/sign-up",
}
"""Where nobody needs to be signed in; everything else below /v1 asks who is there."""
GUARDS = (admit_anyone, admit_member, admit_operator, admit_person)


def handlers(app: Litestar) -> list[tuple[str, HTTPRouteHandler]]:
    return [
        (route.path, handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if not route.path.startswith("/schema") and "OPTIONS" not in handler.http_methods
    ]


def guards_of(handler: HTTPRouteHandler) -> list[object]:
    found = [getattr(guard, "__wrapped__", guard) for guard in handler.resolve_guards()]
    return [guard for guard in found if guard in GUARDS]


def test_all_but_health_documents_and_signing_in_asks_who_is_there() -> None:
    for path, handler in handlers(create_app(Settings())):
        guards = guards_of(handler)
        if path in PUBLIC or path in PAGES or path.startswith("/static/"):
            assert guards == [], path
            continue
        assert path.startswith("/v1/"), path
        assert len(guards) == 1, path
        assert (guards == [admit_anyone]) is (path in ANYONE), path
        of_operator = path.startswith("/v1/admin/") or path in OPERATIONS
        assert (guards == [admit_operator]) is of_operator, path
        if guards == [admit_member]:
            action_of(handler)


def test_dependencies_are_not_validated_as_payload() -> None:
    """Else msgspec would try to read them, and fail for a transaction or a protocol."""
    app = create_app(Settings())
    for path, handler in handlers(app):
        hints = get_type_hints(handler.fn, include_extras=True)
        for name in set(hints) & set(app.dependencies):
            hint = hints[name]
            kind, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
            if kind in (bytes, str):
                continue
            assert any(isinstance(mark, SkipValidationMarker) for mark in marks), (
                f"{path}: declare {name} as NamedDependency[SkipValidation[…]]"
            )


def test_every_handler_is_described() -> None:
    for path, handler in handlers(create_app(Settings())):
        assert not path.startswith("/v1/") or (handler.summary and handler.resolve_tags()), path
