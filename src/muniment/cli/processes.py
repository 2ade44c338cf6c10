"""`muniment up`, `api` and `worker`: the parts that serve, together or one by one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import filelock
import httpx
import typer

from muniment.cli.children import Child, stop_all, stop_with_parent, worker_children
from muniment.cli.runtime import (
    notes,
    one_sentence_errors,
    open_database,
    run,
)
from muniment.db.errors import DataDirectoryUnusable
from muniment.db.installation import Installation, ready_installation
from muniment.errors import MunimentError
from muniment.jobs import Lane
from muniment.settings import Settings, load_settings

READY_WITHIN = 60.0
"""Seconds that the API gets to answer after its start."""

Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on.")]


class AlreadyRunning(MunimentError):
    """Muniment already runs on this data directory."""

    code = "already_running"
    title = "Already running"


class ApiNotReady(MunimentError):
    """The API did not become ready; its log lines above say why."""

    code = "api_not_ready"
    title = "API not ready"


def up(host: Host = None, port: Port = None) -> None:
    """Run database, API and worker together until Ctrl-C."""
    with one_sentence_errors(), serving(_listening(host, port)) as wait:
        wait()


def api(host: Host = None, port: Port = None) -> None:
    """Run the API alone, for installations of many machines."""
    from muniment.api_server import run_api  # loads the web framework

    stop_with_parent()
    with one_sentence_errors():
        run_api(_listening(host, port))


def worker(
    lane: Annotated[
        list[Lane] | None, typer.Option(help="Serve only this lane; may be repeated.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Log only warnings.")] = False,
) -> None:
    """Run a worker alone, for all lanes or some."""
    from muniment.worker import run_worker  # loads all that jobs need

    stop_with_parent()
    with one_sentence_errors():
        settings = load_settings()
        if quiet:
            settings = settings.model_copy(update={"log_level": "warning"})
        run_worker(settings, lane or list(Lane))


def _listening(host: str | None, port: int | None) -> Settings:
    settings = load_settings()
    changes = {"host": host, "port": port}
    return settings.model_copy(update={key: value for key, value in changes.items() if value})


@contextmanager
def serving(settings: Settings) -> Iterator[Callable[[], None]]:
    """Run database, API and worker while the context is open.

    Gives a function that waits until Ctrl-C or SIGTERM and keeps the processes running
    meanwhile; what ends is started again.

    Raises:
        AlreadyRunning: another `up` runs on the data directory.
        PortTaken: another program listens on the port.
        ApiNotReady: the API did not answer in time.
    """
    from muniment.api_server import require_free_port  # loads the web framework

    address = f"http://{settings.host}:{settings.port}"
    with _alone(settings.data_dir):
        require_free_port(settings.host, settings.port)
        with ready_installation(settings) as target:
            run(_first_start(target, settings))
            listen = ["--host", settings.host, "--port", str(settings.port)]
            children = [Child("API", ["api", *listen]), *worker_children()]
            stop, waiting = threading.Event(), threading.Event()
            try:
                with _stopped_by_signal(stop, waiting):
                    for child in children:
                        child.start()
                    _wait_until_ready(address, children[0], stop)
                    notes.print(
                        f"Muniment serves on [bold]{address}[/] (docs at {address}/docs). "
                        "Ctrl-C stops it.",
                        soft_wrap=True,
                    )
                    yield lambda: _keep(children, stop, waiting)
            finally:
                stop_all(children)
                notes.print("Muniment has stopped.")


async def _first_start(target: Installation, settings: Settings) -> None:
    async with open_database(target, settings):
        pass


def _keep(children: list[Child], stop: threading.Event, waiting: threading.Event) -> None:
    waiting.set()
    while not stop.wait(0.5):
        for child in children:
            child.keep_running()


def _wait_until_ready(address: str, api_child: Child, stop: threading.Event) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not stop.is_set():
        if api_child.ended() is not None or time.monotonic() > deadline:
            raise ApiNotReady
        try:
            if httpx.get(f"{address}/readyz", timeout=5).is_success:
                return
        except httpx.HTTPError:
            pass  # not listening yet
        stop.wait(0.1)


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Hold the data directory's lock, so that two `up` do not serve one directory."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(data_dir / "up.lock")
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise AlreadyRunning(
            f"Muniment already runs on {data_dir}: stop it first, or choose another folder "
            "with MUNIMENT_DATA_DIR."
        ) from error
    except OSError as error:
        raise DataDirectoryUnusable.because(data_dir, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _stopped_by_signal(stop: threading.Event, waiting: threading.Event) -> Iterator[None]:
    """Let a signal end the waiting, or interrupt what else is being done."""

    def stopped(*_: object) -> None:
        stop.set()
        if not waiting.is_set():
            raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stopped) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
