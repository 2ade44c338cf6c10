"""Health and metrics: what orchestrators and Prometheus ask, without a key."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from muniment import __version__
from muniment.db import Database
from muniment.observability.errors import NotReady
from muniment.observability.health import Check, check_readiness
from muniment.observability.metrics import Metrics


class Alive(msgspec.Struct, frozen=True):
    """The process runs and answers."""

    status: str
    version: str


class Ready(msgspec.Struct, frozen=True):
    """The process can serve requests."""

    status: str
    checks: list[Check]


@get("/healthz", tags=["process"], summary="Whether the process is alive")
async def healthz() -> Alive:
    """Answer without looking at anything else, so that an outage elsewhere restarts nothing."""
    return Alive("ok", __version__)


@get("/readyz", tags=["process"], summary="Whether the process can serve")
async def readyz(database: NamedDependency[SkipValidation[Database]]) -> Ready:
    """Check database, migrations and queue; a problem with status 503 names what is missing."""
    checks = await check_readiness(database)
    if not all(check.ok for check in checks):
        raise NotReady([msgspec.structs.asdict(check) for check in checks])
    return Ready("ready", checks)


@get("/metrics", tags=["process"], summary="Metrics for Prometheus", media_type=MediaType.TEXT)
async def metrics(
    request: Request[Any, Any, Any], process_metrics: NamedDependency[SkipValidation[Metrics]]
) -> Response[bytes]:
    """Return this process's metrics in the Prometheus or OpenMetrics text format."""
    body, media_type = process_metrics.render(request.headers.get("accept", ""))
    # The framework adds the character set by itself.
    return Response(body, media_type=media_type.removesuffix("; charset=utf-8"))


handlers = [healthz, readyz, metrics]
