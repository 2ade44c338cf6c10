"""A small HTTP server for processes that have none of their own: metrics and health of a worker."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec
import structlog
import uvicorn

from muniment import __version__
from muniment.errors import MunimentError
from muniment.observability.health import check_readiness

if TYPE_CHECKING:
    from muniment.db import Database
    from muniment.observability.metrics.gathering import Exposition

RETRY_SECONDS = 5.0
"""Between two looks whether a port that another worker serves has become free."""

_log = structlog.get_logger(__name__)

Answer = tuple[int, str, bytes]
"""Status, media type and body."""


class MonitoringAddressUnusable(MunimentError):
    """MUNIMENT_WORKER_HOST or MUNIMENT_WORKER_PORT cannot be listened on."""

    code = "monitoring_address_unusable"
    title = "Monitoring address unusable"


@asynccontextmanager
async def monitoring_server(
    host: str,
    port: int,
    exposition: Exposition,
    database: Database,
    *,
    on_ready: Callable[[str, int], None] | None = None,
    retry_seconds: float = RETRY_SECONDS,
) -> AsyncIterator[None]:
    """Serve /metrics, /healthz and /readyz while the context is open; port 0 serves nothing.

    Where the port is taken, by another worker of this machine most likely, that one tells the
    metrics of this process too; as soon as it ends, this process takes over.

    Raises:
        MonitoringAddressUnusable: the host is not one of this machine, or the port not allowed.
    """
    if port == 0:
        yield
        return
    listener = _listener(host, port)
    if listener is None:
        _log.info("monitoring_port_taken", host=host, port=port)
    serving = asyncio.create_task(
        _serve(
            listener,
            partial(_listener, host, port),
            _application(exposition, database),
            on_ready=on_ready,
            retry_seconds=retry_seconds,
        )
    )
    try:
        yield
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


def _listener(host: str, port: int) -> socket.socket | None:
    """Listen on an address; return None when somebody else does."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(16)
        listener.setblocking(False)
    except OSError as error:
        if listener is not None:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise MonitoringAddressUnusable(
            f"{host}, port {port}, cannot be listened on ({error.strerror}): choose another "
            "address with MUNIMENT_WORKER_HOST and MUNIMENT_WORKER_PORT."
        ) from error
    return listener


async def _serve(
    listener: socket.socket | None,
    listen: Callable[[], socket.socket | None],
    application: Any,
    *,
    on_ready: Callable[[str, int], None] | None,
    retry_seconds: float,
) -> None:
    while listener is None:
        await asyncio.sleep(retry_seconds)
        listener = listen()
    with listener:
        server = _Server(
            uvicorn.Config(
                application,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        if on_ready is not None:
            on_ready(*listener.getsockname()[:2])
        try:
            await server.serve(sockets=[listener])
        except asyncio.CancelledError:
            if server.started:
                await server.shutdown(sockets=[listener])
            raise


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals to the worker."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _application(
    exposition: Exposition, database: Database
) -> Callable[[Any, Any, Any], Awaitable[None]]:
    async def application(scope: Any, _receive: Any, send: Any) -> None:
        """Answer one request (ASGI)."""
        status, media_type, body = await _answer(scope, exposition, database)
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return application


async def _answer(scope: Any, exposition: Exposition, database: Database) -> Answer:
    if scope["path"] not in {"/metrics", "/healthz", "/readyz"}:
        return _json(404, {"status": "not_found"})
    if scope["method"] not in {"GET", "HEAD"}:
        return _json(405, {"status": "method_not_allowed"})
    if scope["path"] == "/healthz":
        return _json(200, {"status": "ok", "version": __version__})
    if scope["path"] == "/readyz":
        checks = await check_readiness(database)
        ready = all(check.ok for check in checks)
        status = "ready" if ready else "not_ready"
        return _json(200 if ready else 503, {"status": status, "checks": checks})
    accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    asked = parse_qs(scope["query_string"].decode("latin-1")).get("gathered", ["true"])
    told = exposition.own if asked[-1] == "false" else exposition.gathered
    body, media_type = await told(accept.decode("latin-1"))
    return 200, media_type, body


def _json(status: int, value: object) -> Answer:
    return status, "application/json", msgspec.json.encode(value)
