"""The HTTP application: wires the rooms to Litestar, and owns authentication and transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from litestar import Litestar, Request, Router, get
from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.di import Provide
from litestar.enums import RequestEncodingType, ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.params import BodyKwarg
from litestar.response import Redirect
from structlog.contextvars import bind_contextvars

from muniment.api_docs.endpoints import handlers as docs_handlers
from muniment.api_docs.openapi import openapi_config
from muniment.compression import Compression
from muniment.db import Database, TenantScope, UnitOfWork
from muniment.db.installation import installation, upgrade_embedded
from muniment.documents.endpoints import handlers as document_handlers
from muniment.errors import ServiceUnavailable
from muniment.jobs.endpoints import handlers as job_handlers
from muniment.observability.endpoints import handlers as process_handlers
from muniment.observability.metrics import Metrics
from muniment.observability.request_observer import RequestObserver, record_of
from muniment.observability.statement_watch import StatementWatch
from muniment.problems import UnsupportedMediaType, crash_response, problem_response
from muniment.search.endpoints import handlers as search_handlers
from muniment.settings import Settings
from muniment.tenancy.authentication import authenticate

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

    from muniment.documents.blobs import BlobStore
    from muniment.documents.embedding import Embedder
    from muniment.documents.search_index import SearchIndex

MAX_BODY_BYTES = 1024 * 1024
"""Largest request body, unless a handler of uploads sets its own `request_max_body_size`."""

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
]
"""Added to responses that do not set them; no page of ours may be framed or load from outside."""

_TENANT = "muniment_tenant"
_TRANSACTION = "muniment_transaction"


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers work with: opened once for a process, closed when it ends."""

    database: Database
    secret: bytes
    """Signs cursors."""
    settings: Settings
    embedder: Embedder
    search_index: SearchIndex
    blobs: BlobStore


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open what a process of the API works with.

    Raises:
        MunimentError: the database, the model or the data directory cannot be used; its
            detail says what to do.
    """
    from muniment.components import load_embedder, open_blobs, search_index

    with installation(settings) as target:
        # Another database may be upgraded by its operator while we run; until then /readyz
        # says what is missing.
        upgrade_embedded(target)
        embedder = await asyncio.to_thread(load_embedder, settings)
        timeout = settings.api_statement_timeout
        with embedder:
            async with target.open(settings, statement_timeout=timeout) as database:
                yield Services(
                    database,
                    target.secret,
                    settings,
                    embedder,
                    search_index(),
                    open_blobs(settings),
                )


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
                for_callers_with_a_key(_room_handlers()),
                *process_handlers,
                *docs_handlers,
                index,
            ],
            dependencies=boundary.dependencies(),
            exception_handlers={Exception: problem_response},
            lifespan=[boundary.lifespan],
            # Ours is structlog; the framework would start a logging thread of its own.
            logging_config=None,
            openapi_config=openapi_config(),
            request_max_body_size=MAX_BODY_BYTES,
            debug=False,
        )
        self._observed = RequestObserver(
            Compression(self._serve), self.metrics, SECURITY_HEADERS, crash_response
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        """Serve one connection (ASGI)."""
        if scope["type"] == ScopeType.HTTP:
            await self._observed(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await _roll_back_forgotten(scope)


def _room_handlers() -> list[BaseRouteHandler]:
    """Return the handlers of all rooms; they need a key."""
    return [*document_handlers, *job_handlers, *search_handlers]


@get("/", include_in_schema=False)
async def index() -> Redirect:
    """Lead a visitor to the documents."""
    return Redirect("/docs")


def for_callers_with_a_key(handlers: Sequence[BaseRouteHandler]) -> Router:
    """Return a router that lets nobody reach the handlers without a valid API key."""
    return Router(
        "/",
        route_handlers=handlers,
        guards=[admit_caller],
        security=[{"api_key": []}],
    )


async def admit_caller(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Find out who asks and with what, before the body is read (a guard).

    It is one guard, not two, because the framework copies the handler for each.

    Raises:
        MissingCredentials, InvalidCredentials: see `authenticate`.
        UnsupportedMediaType: the body is of another type than the handler reads.
    """
    app = connection.app
    if not isinstance(app, Application):
        raise TypeError("the guard works in our application only")
    database = app.boundary.services.database
    tenant = await authenticate(database, connection.headers.get("authorization"))
    connection.scope["state"][_TENANT] = tenant
    org_id = str(tenant.org_id)
    record_of(connection.scope).org_id = org_id
    bind_contextvars(org_id=org_id)
    _require_media_type(connection.headers, handler)


def _require_media_type(headers: Headers, handler: BaseRouteHandler) -> None:
    """Refuse a body of another type; the framework would read anything as JSON."""
    field = handler.parsed_data_field
    if field is None or not isinstance(field.kwarg_definition, BodyKwarg):
        return
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    wanted = str(
        getattr(field.kwarg_definition.media_type, "value", field.kwarg_definition.media_type)
    )
    sent = headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent == wanted or (wanted == RequestEncodingType.JSON.value and sent.endswith("+json")):
        return
    raise UnsupportedMediaType(
        f"The body must be {wanted}; this one is {sent or 'of no told type'}."
    )


class Boundary:
    """Holds the services of a running application and lends them to its handlers."""

    def __init__(self, settings: Settings, services: Services | None, metrics: Metrics) -> None:
        self._settings = settings
        self._services = services
        self._metrics = metrics

    @property
    def services(self) -> Services:
        """What the handlers work with, while the application runs."""
        if self._services is None:
            raise ServiceUnavailable("The process is starting or stopping.")
        return self._services

    @asynccontextmanager
    async def lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        """Open the services unless they were given, and watch them while the app runs."""
        if self._services is not None:
            with self._watched(self._services):
                yield
            return
        async with open_services(self._settings) as services:
            self._services = services
            try:
                with self._watched(services):
                    yield
            finally:
                self._services = None

    def _watched(self, services: Services) -> Any:
        database = services.database
        self._metrics.watch_pool("app", database.pool)
        self._metrics.watch_pool("operator", database.operator_pool)
        return StatementWatch(
            self._metrics, database.pool, slow_seconds=self._settings.slow_statement_ms / 1000
        ).watching()

    def dependencies(self) -> dict[str, Provide]:
        """Return what handlers may ask for by name."""
        lent: dict[str, Callable[[], Any]] = {
            "database": lambda: self.services.database,
            "settings": lambda: self._settings,
            "embedder": lambda: self.services.embedder,
            "search_index": lambda: self.services.search_index,
            "blobs": lambda: self.services.blobs,
            "cursor_secret": lambda: self.services.secret,
            "process_metrics": lambda: self._metrics,
        }
        provided = {name: Provide(lend, sync_to_thread=False) for name, lend in lent.items()}
        provided["tenant"] = Provide(tenant_of, sync_to_thread=False)
        provided["uow"] = Provide(self.unit_of_work)
        return provided

    async def unit_of_work(self, request: Request[Any, Any, Any]) -> AsyncIterator[UnitOfWork]:
        """Lend one transaction of the caller's organization to a request.

        It is committed after the handler returned and before the response is sent, so that
        nobody is told of something that then does not happen; it is rolled back when the
        handler raises.
        """
        tenant = tenant_of(request)
        stack = AsyncExitStack()
        work = await stack.enter_async_context(self.services.database.unit_of_work(tenant))
        state = request.scope["state"]
        state[_TRANSACTION] = stack
        try:
            async with stack:
                yield work
        finally:
            state.pop(_TRANSACTION, None)


async def _roll_back_forgotten(scope: Scope) -> None:
    """End a transaction that the framework left open.

    It forgets about the dependencies that it has resolved when a later one fails; the
    connection would stay taken until the garbage collector comes by.
    """
    stack: AsyncExitStack | None = scope["state"].pop(_TRANSACTION, None)
    if stack is None:
        return
    with suppress(_Forgotten):
        async with stack:
            raise _Forgotten


class _Forgotten(Exception):
    """Makes a transaction roll back."""


def tenant_of(request: Request[Any, Any, Any]) -> TenantScope:
    """Return the scope of an authenticated request."""
    tenant: TenantScope = request.scope["state"][_TENANT]
    return tenant
