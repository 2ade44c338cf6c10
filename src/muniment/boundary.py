"""What a running process of the API holds, and what it lends to the handlers of a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
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
from muniment.checks import CHECKS
from muniment.db import Database, UnitOfWork
from muniment.db.doctor import Examination, lend
from muniment.db.installation import installation, upgrade_embedded
from muniment.db.replica_metrics import ReplicaCollector
from muniment.errors import ServiceUnavailable
from muniment.job_oversight import TenancyOversight
from muniment.jobs import queue_state
from muniment.jobs.events import JobEvents
from muniment.observability.doctor.run import Doctor
from muniment.observability.metrics import Metrics
from muniment.observability.metrics.gathering import Exposition
from muniment.observability.objectives.process import ApiObjectives
from muniment.observability.process_watch import watched
from muniment.rate_limits import InboundLimits
from muniment.search.observers import observe_searches
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
    doctor: Doctor
    job_events: JobEvents


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
            async with target.open(settings, statement_timeout=timeout, replica=True) as database:
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
        if database.replica is not None:
            cache.follow(database.replica)
            database.replica.hears = cache.listens
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
        doctor = _doctor(services, cache)
        job_events = await stack.enter_async_context(
            JobEvents.running(database, settings.job_event_streams)
        )
        yield Running(
            services, cache, limiter, mailer, people, provider, admission, doctor, job_events
        )


def _doctor(services: Services, cache: Cache) -> Doctor:
    from muniment.documents.blobs import BlobStore
    from muniment.documents.embedding import Embedder

    held = {Embedder: services.embedder, BlobStore: services.blobs, Cache: cache}
    examination = Examination(
        services.database, services.settings, {kind: lend(thing) for kind, thing in held.items()}
    )
    return Doctor(CHECKS, examination)


class Boundary:
    """Holds the services of a running application and lends them to its handlers."""

    def __init__(self, settings: Settings, services: Services | None, metrics: Metrics) -> None:
        self._settings = settings
        self._given = services
        self._metrics = metrics
        self._running: Running | None = None
        self.objectives = ApiObjectives(settings.objectives, metrics)
        self.exposition = Exposition(metrics)
        """What answers a scrape; whoever runs the process sets one that knows its neighbours."""
        metrics.registry.register(
            CacheCollector(
                lambda: None if self._running is None else self._running.cache.statistics(),
                lambda: None if self._running is None else self._running.limiter.statistics(),
            )
        )
        metrics.registry.register(
            ReplicaCollector(
                lambda: None if self._running is None else self._running.services.database.replica
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
            await stack.enter_async_context(self.objectives.running(services.database))
            self._running = running = await stack.enter_async_context(_start(services))
            try:
                async with self._watched(running):
                    yield
            finally:
                self._running = None

    @asynccontextmanager
    async def _watched(self, running: Running) -> AsyncIterator[None]:
        services, metrics = running.services, self._metrics
        with ExitStack() as stack:
            stack.enter_context(observe_searches(metrics.search))
            # Where nobody searches by meaning there is no model.
            if services.embedder is not None:
                stack.enter_context(services.embedder.observed_by(metrics.embedding))
            async with watched(
                metrics,
                self._settings,
                services.database,
                slow_seconds=self._settings.slow_statement_ms / 1000,
                read_queue=partial(queue_state, services.database),
            ):
                yield

    def end_streams(self) -> None:
        """End what would be streamed for minutes: the process is told to stop."""
        if self._running is not None:
            self._running.job_events.stop()

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
            "doctor": lambda: self.running.doctor,
            "job_events": lambda: self.running.job_events,
            "job_oversight": TenancyOversight,
            "exposition": lambda: self.exposition,
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
        handler raises. A GET changes nothing, to which Postgres holds it. A handler with
        ``reads="replica"`` may read from a replica, unless the request says
        ``Cache-Control: no-cache``.
        """
        work_of = self.running.services.database.unit_of_work
        safe = request.method in {"GET", "HEAD"}
        replica = safe and request.route_handler.opt.get("reads") == "replica"
        if replica and "no-cache" in request.headers.get("cache-control", ""):
            replica = False
        opened = work_of(tenant_of(request), read_only=safe, replica=replica)
        async with _held(request, opened) as work:
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
