"""Health and metrics: what orchestrators and Prometheus ask, without a key."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

from muniment import __version__
from muniment.db import Database
from muniment.observability.errors import NotReady
from muniment.observability.health import Check, check_readiness
from muniment.observability.metrics.gathering import Exposition


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
    request: Request[Any, Any, Any],
    exposition: NamedDependency[SkipValidation[Exposition]],
    gathered: Annotated[
        bool,
        QueryParameter(
            description="Of every process of this machine; else of the one that answers, alone."
        ),
    ] = True,
) -> Response[bytes]:
    """Return metrics in the Prometheus or OpenMetrics text format.

    Those of all processes of this machine carry the labels `process` and `slot`.
    """
    told = exposition.gathered if gathered else exposition.own
    body, media_type = await told(request.headers.get("accept", ""))
    # The framework adds the character set by itself.
    return Response(body, media_type=media_type.removesuffix("; charset=utf-8"))


handlers = [healthz, readyz, metrics]
