"""What a running process of the API holds, and what it lends to the handlers of a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from litestar import Litestar, Request
from litestar.di import Provide

from muniment.admission import (
    Admission,
    address_of,
    caller_of,
    operator_of,
    person_of,
    tenant_of,
    visitor_of,
)
from muniment.cache import Cache, open_cache
from muniment.cache.limits import RateLimiter, open_limiter
from muniment.cache.metrics import CacheCollector
from muniment.db import Database, UnitOfWork
from muniment.db.installation import installation, upgrade_embedded
from muniment.errors import ServiceUnavailable
from muniment.observability.metrics import Metrics
from muniment.observability.statement_watch import StatementWatch
from muniment.rate_limits import InboundLimits
from muniment.settings import Settings
from muniment.tenancy.authentication import Authenticator
from muniment.tenancy.people.mail import Mailer
from muniment.tenancy.people.oidc.provider import IdentityProvider, open_provider
from muniment.tenancy.people.people import People, open_people
from muniment.tenancy.people.touches import Touches
from muniment.tenancy.warming import keep_warm

if TYPE_CHECKING:
    from litestar.types import Scope

    from muniment.documents.blobs import BlobStore
    from muniment.documents.embedding import Embedder
    from muniment.documents.search_index import SearchIndex

_TRANSACTION = "muniment_transaction"


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers work with: opened once for a process, closed when it ends."""

    database: Database
    secret: bytes
    """Signs cursors and the tokens of forms."""
    settings: Settings
    embedder: Embedder
    search_index: SearchIndex
    blobs: BlobStore


@dataclass(frozen=True, slots=True)
class Running:
    """What the application adds while it runs."""

    services: Services
    cache: Cache
    limiter: RateLimiter
    mailer: Mailer
    people: People
    identity_provider: IdentityProvider | None
    admission: Admission


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


@asynccontextmanager
async def _start(services: Services) -> AsyncIterator[Running]:
    settings, database = services.settings, services.database
    async with AsyncExitStack() as stack:
        cache = await stack.enter_async_context(
            open_cache(
                database,
                redis_url=settings.redis_url,
                max_entries=settings.cache_entries,
                max_bytes=settings.cache_mb * 1_000_000,
            )
        )
        keep_warm(cache, database)
        limiter = await stack.enter_async_context(open_limiter(settings.redis_url))
        touches = await stack.enter_async_context(Touches.running(database))
        idle = timedelta(hours=settings.session_idle_hours)
        admission = Admission(
            Authenticator(database, cache, touches, idle),
            InboundLimits(limiter, settings),
            settings,
            services.secret,
        )
        mailer = Mailer(settings)
        people = await stack.enter_async_context(
            open_people(database, settings, services.secret, limiter, mailer)
        )
        provider = await stack.enter_async_context(open_provider(settings))
        yield Running(services, cache, limiter, mailer, people, provider, admission)


class Boundary:
    """Holds the services of a running application and lends them to its handlers."""

    def __init__(self, settings: Settings, services: Services | None, metrics: Metrics) -> None:
        self._settings = settings
        self._given = services
        self._metrics = metrics
        self._running: Running | None = None
        metrics.registry.register(
            CacheCollector(
                lambda: None if self._running is None else self._running.cache.statistics(),
                lambda: None if self._running is None else self._running.limiter.statistics(),
            )
        )

    @property
    def running(self) -> Running:
        """What the application works with, while it runs.

        Raises:
            ServiceUnavailable: it is starting or stopping.
        """
        if self._running is None:
            raise ServiceUnavailable("The process is starting or stopping.")
        return self._running

    @asynccontextmanager
    async def lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        """Open the services unless they were given, and watch them while the app runs."""
        async with AsyncExitStack() as stack:
            services = self._given
            if services is None:
                services = await stack.enter_async_context(open_services(self._settings))
            self._running = running = await stack.enter_async_context(_start(services))
            try:
                with self._watched(running):
                    yield
            finally:
                self._running = None

    def _watched(self, running: Running) -> Any:
        database = running.services.database
        self._metrics.watch_pool("app", database.pool)
        self._metrics.watch_pool("operator", database.operator_pool)
        return StatementWatch(
            self._metrics, database.pool, slow_seconds=self._settings.slow_statement_ms / 1000
        ).watching()

    def dependencies(self) -> dict[str, Provide]:
        """Return what handlers may ask for by name."""
        lent: dict[str, Callable[[], Any]] = {
            "database": lambda: self.running.services.database,
            "settings": lambda: self._settings,
            "embedder": lambda: self.running.services.embedder,
            "search_index": lambda: self.running.services.search_index,
            "blobs": lambda: self.running.services.blobs,
            "cursor_secret": lambda: self.running.services.secret,
            "cache": lambda: self.running.cache,
            "limiter": lambda: self.running.limiter,
            "mailer": lambda: self.running.mailer,
            "people": lambda: self.running.people,
            "identity_provider": lambda: self.running.identity_provider,
            "process_metrics": lambda: self._metrics,
        }
        provided = {name: Provide(lend, sync_to_thread=False) for name, lend in lent.items()}
        told: dict[str, Callable[[Request[Any, Any, Any]], Any]] = {
            "tenant": tenant_of,
            "caller": caller_of,
            "person": person_of,
            "operator": operator_of,
            "client_address": address_of,
        }
        provided |= {name: Provide(tell, sync_to_thread=False) for name, tell in told.items()}
        provided["visitor"] = Provide(visitor_of)
        provided["uow"] = Provide(self.unit_of_work)
        provided["operator_uow"] = Provide(self.operator_unit_of_work)
        return provided

    async def unit_of_work(self, request: Request[Any, Any, Any]) -> AsyncIterator[UnitOfWork]:
        """Lend one transaction of the caller's organization to a request.

        It is committed after the handler returned and before the response is sent, so that
        nobody is told of something that then does not happen; it is rolled back when the
        handler raises.
        """
        database = self.running.services.database
        async with _held(request, database.unit_of_work(tenant_of(request))) as work:
            yield work

    async def operator_unit_of_work(
        self, request: Request[Any, Any, Any]
    ) -> AsyncIterator[UnitOfWork]:
        """Lend one transaction of the operator, see `unit_of_work`."""
        operator_of(request)
        async with _held(request, self.running.services.database.operator()) as work:
            yield work


@asynccontextmanager
async def _held(request: Request[Any, Any, Any], transaction: Any) -> AsyncIterator[UnitOfWork]:
    stack = AsyncExitStack()
    work = await stack.enter_async_context(transaction)
    state = request.scope["state"]
    state[_TRANSACTION] = stack
    try:
        async with stack:
            yield work
    finally:
        state.pop(_TRANSACTION, None)


async def roll_back_forgotten(scope: Scope) -> None:
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
