"""The HTTP application: wires the rooms to Litestar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import Litestar, get
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.response import Redirect

from muniment.admission import for_anyone, for_members, for_operators, for_people
from muniment.api_docs.endpoints import handlers as docs_handlers
from muniment.api_docs.openapi import ClosedStructs, openapi_config
from muniment.boundary import Boundary, Services, open_services, roll_back_forgotten
from muniment.cache.memo import request_memo
from muniment.compression import Compression
from muniment.console.endpoints import handlers as page_handlers
from muniment.documents.endpoints import handlers as document_handlers
from muniment.jobs.endpoints import handlers as job_handlers
from muniment.jobs.endpoints import operator_handlers as lane_handlers
from muniment.jobs.schedules.endpoints import handlers as schedule_handlers
from muniment.observability.doctor.endpoints import operator_handlers as doctor_handlers
from muniment.observability.endpoints import handlers as process_handlers
from muniment.observability.metrics import Metrics
from muniment.observability.objectives.endpoints import operator_handlers as objective_handlers
from muniment.observability.request_observer import RequestObserver
from muniment.observability.request_record import StatementLimits
from muniment.problems import crash_response, problem_response
from muniment.reconcile.datasets.endpoints import handlers as dataset_handlers
from muniment.reconcile.exports.endpoints import handlers as export_handlers
from muniment.reconcile.golden.endpoints import handlers as golden_handlers
from muniment.reconcile.reconciliations.endpoints import handlers as reconciliation_handlers
from muniment.reconcile.review.endpoints import handlers as review_handlers
from muniment.reconcile.runs.endpoints import handlers as run_handlers
from muniment.search.endpoints import handlers as search_handlers
from muniment.settings import Settings
from muniment.tenancy.audit.endpoints import handlers as audit_handlers
from muniment.tenancy.keys.endpoints import handlers as key_handlers
from muniment.tenancy.members.endpoints import handlers as member_handlers
from muniment.tenancy.members.joining.endpoints import person_handlers as joining_handlers
from muniment.tenancy.members.joining.endpoints import public_handlers as invitation_handlers
from muniment.tenancy.operators.endpoints import operator_handlers
from muniment.tenancy.organizations.endpoints import handlers as organization_handlers
from muniment.tenancy.people.endpoints import person_handlers
from muniment.tenancy.people.endpoints import public_handlers as sign_in_handlers
from muniment.tenancy.people.oidc.endpoints import public_handlers as oidc_handlers
from muniment.tenancy.quotas.endpoints import handlers as quota_handlers

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

__all__ = ["Application", "Services", "create_app", "open_services"]

MAX_BODY_BYTES = 1024 * 1024
"""Largest request body, unless a handler of uploads sets its own `request_max_body_size`."""

SECURITY_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
]
"""Added to responses that do not set them: what an API answers is for the asker and for nobody's
cache, and no page of ours may be framed or load from outside."""

_STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")
"""For installations that people reach by https."""


def create_app(settings: Settings, services: Services | None = None) -> Application:
    """Build the application.

    Args:
        settings: of this process.
        services: what the handlers work with, closed by whoever opened it. Without it the
            application opens its own when it starts and closes it when it stops, so its routes
            and its description can be had without a database.
    """
    return Application(settings, services)


class Application(Litestar):
    """Litestar with our layers around it, which see unknown addresses and failures as well."""

    def __init__(self, settings: Settings, services: Services | None) -> None:
        """See `create_app`."""
        self.metrics = Metrics("api")
        self.boundary = boundary = Boundary(settings, services, self.metrics)
        super().__init__(
            route_handlers=[
                for_members(_member_handlers()),
                for_people(_person_handlers()),
                for_anyone(_public_handlers()),
                for_operators(
                    [*operator_handlers, *lane_handlers, *objective_handlers, *doctor_handlers]
                ),
                *process_handlers,
                *docs_handlers,
                *page_handlers,
                index,
            ],
            dependencies=boundary.dependencies(),
            exception_handlers={Exception: problem_response},
            lifespan=[boundary.lifespan],
            # Ours is structlog; the framework would start a logging thread of its own.
            logging_config=None,
            openapi_config=openapi_config(),
            plugins=[ClosedStructs()],
            request_max_body_size=MAX_BODY_BYTES,
            debug=False,
            state=State({"admission": lambda: boundary.running.admission}),
        )
        headers = list(SECURITY_HEADERS)
        if (settings.public_url or "").startswith("https://"):
            headers.append(_STRICT_TRANSPORT)
        self._observed = RequestObserver(
            Compression(self._serve),
            self.metrics,
            headers,
            crash_response,
            limits=StatementLimits(
                settings.statements_per_request, settings.same_statement_per_request
            ),
            tell=[boundary.objectives.recorder.request_ended],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        """Serve one connection (ASGI)."""
        if scope["type"] == ScopeType.HTTP:
            await self._observed(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        with request_memo():
            try:
                await super().__call__(scope, receive, send)
            finally:
                await roll_back_forgotten(scope)


def _member_handlers() -> list[BaseRouteHandler]:
    return [
        *document_handlers,
        *job_handlers,
        *schedule_handlers,
        *search_handlers,
        *reconciliation_handlers,
        *dataset_handlers,
        *run_handlers,
        *review_handlers,
        *golden_handlers,
        *export_handlers,
        *organization_handlers,
        *member_handlers,
        *key_handlers,
        *quota_handlers,
        *audit_handlers,
    ]


def _person_handlers() -> list[BaseRouteHandler]:
    return [*person_handlers, *joining_handlers]


def _public_handlers() -> list[BaseRouteHandler]:
    return [*sign_in_handlers, *oidc_handlers, *invitation_handlers, *oidc_handlers]


@get("/", include_in_schema=False)
async def index() -> Redirect:
    """Lead a visitor to the documents."""
    return Redirect("/docs")
