"""The process that serves the HTTP interface: uvicorn on uvloop."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from muniment.app import Services, create_app, open_services
from muniment.errors import MunimentError
from muniment.observability.logging import configure_logging
from muniment.observability.metrics.gathering import joined
from muniment.observability.tracing import configure_tracing

if TYPE_CHECKING:
    from types import FrameType

    from muniment.settings import Settings

SHUTDOWN_SECONDS = 10
"""Requests that run when the process is told to stop may finish within this time."""
_BACKLOG = 2048


class PortTaken(MunimentError):
    """The port is taken by another program."""

    code = "port_taken"
    title = "Port taken"


class AddressUnusable(MunimentError):
    """The address cannot be listened on."""

    code = "address_unusable"
    title = "Address unusable"


def run_api(settings: Settings, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve until the process is told to stop (SIGINT, SIGTERM), then finish what is under way.

    Args:
        settings: host, port, database and so on.
        on_ready: called once with the address, e.g. ``http://127.0.0.1:8642``, when requests
            are served.

    Raises:
        PortTaken, AddressUnusable: nothing was started.
        MunimentError: the database, the model or the data directory cannot be used.
    """
    configure_logging(settings.log_format, settings.log_level)
    with (
        listening_socket(settings.host, settings.port) as listener,
        configure_tracing(settings, "api"),
        _stop_signals_survived(),
        asyncio.Runner(loop_factory=_loop_factory()) as runner,
    ):
        runner.run(_open_and_serve(settings, listener, on_ready))


async def serve_api(
    services: Services, listener: socket.socket, *, on_ready: Callable[[str], None] | None = None
) -> None:
    """Serve on a socket that listens, with services that somebody else opened, until stopped.

    See `run_api`. A caller that cancels this coroutine stops the server at once.
    """
    settings = services.settings
    app = create_app(settings, services)
    server = _Server(_configuration(app, settings), on_ready, on_stop=app.boundary.end_streams)
    async with joined(app.metrics, settings.data_dir) as app.boundary.exposition:
        try:
            await server.serve(sockets=[listener])
        except asyncio.CancelledError:
            # uvicorn then leaves without a word to the application, which would go on in the
            # background with its connections.
            if server.started:
                await server.lifespan.shutdown()
            raise


@contextmanager
def listening_socket(host: str, port: int) -> Iterator[socket.socket]:
    """Bind an address before anything slow is started, and close it when the context ends.

    Port 0 lets the system choose; `getsockname` tells.

    Raises:
        PortTaken: another program listens there.
        AddressUnusable: the host is not one of this machine, or the port is not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise AddressUnusable(_unusable(host, port, error)) from error
    with socket.socket(family, kind, protocol) as listener:
        # A server that just stopped leaves connections behind that would block the address.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(
                    f"Port {port} is taken by another program: stop it or choose another port "
                    "with --port or MUNIMENT_PORT."
                ) from error
            raise AddressUnusable(_unusable(host, port, error)) from error
        listener.setblocking(False)
        yield listener


def require_free_port(host: str, port: int) -> None:
    """Make sure that a process that is started next can listen on an address.

    Raises:
        PortTaken, AddressUnusable: it cannot.
    """
    with listening_socket(host, port):
        pass


def _unusable(host: str, port: int, error: OSError) -> str:
    return (
        f"{host}, port {port}, cannot be listened on ({error.strerror}): choose another address "
        "with MUNIMENT_HOST and MUNIMENT_PORT."
    )


async def _open_and_serve(
    settings: Settings, listener: socket.socket, on_ready: Callable[[str], None] | None
) -> None:
    # The services are opened here and not by the server, so that what goes wrong reaches the
    # caller as the error that it is.
    async with open_services(settings) as services:
        await serve_api(services, listener, on_ready=on_ready)


def _configuration(app: object, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS - 2,
    )


class _Server(uvicorn.Server):
    """uvicorn that says when it is ready, and when it begins to stop."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[str], None] | None,
        *,
        on_stop: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_ready is not None and self.started and sockets:
            self._on_ready(_address_of(sockets[0]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # It waits for requests that are under way, and a stream would be for minutes.
        self._on_stop()
        await super().shutdown(sockets)


def _address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _stop_signals_survived() -> Iterator[None]:
    """Let the process outlive the signals that stop the server.

    When it has stopped, uvicorn raises the signal again for whoever handled it before; that
    would kill the process before its database is closed and its caller is back.
    """

    def ignore(_signal: int, _frame: FrameType | None) -> None:
        """Do nothing: the server has stopped by now."""

    before = {name: signal.signal(name, ignore) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    if sys.platform == "win32":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop
