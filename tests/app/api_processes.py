"""Processes that serve the API of one installation, for tests that ask several of them.

    python -m tests.app.api_processes

serves until SIGTERM, on a free port that it prints. Its settings come from the environment. It is
`muniment api` without the embedding model, which takes longer to load than the tests run.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvloop

from muniment.api_server import listening_socket, serve_api
from muniment.app import Services
from muniment.components import open_blobs, search_index
from muniment.db.installation import Installation, installation
from muniment.observability.logging import configure_logging
from muniment.settings import Settings
from tests.app.callers import SECRET, Present
from tests.app.reconcile_things import CONNECTIONS

FRESH_SECONDS = 0.05
"""After a change was answered, no process may show the state before it for longer."""
MANY = 10_000_000
_START_SECONDS = 90.0
_STOP_SECONDS = 15.0
_FIGURE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Ask:
    """A request of somebody."""

    method: str
    path: str
    who: Present = field(default_factory=Present)
    body: dict[str, Any] = field(default_factory=dict)
    """Arguments of the client: json, files, data, params."""


class ApiProcess:
    """One process, and a client that asks it."""

    def __init__(
        self, process: asyncio.subprocess.Process, client: httpx.AsyncClient, log: Path
    ) -> None:
        self.process = process
        self._client = client
        self._log = log

    async def ask(self, ask: Ask, **headers: str) -> httpx.Response:
        """Send a request."""
        response = await self._client.request(
            ask.method, ask.path, headers=ask.who.headers | headers, **ask.body
        )
        # Who asks is told by each request; a cookie of an earlier answer must not be.
        self._client.cookies.clear()
        return response

    async def figures(self) -> dict[str, float]:
        """Return its metrics, by name and labels as they are written."""
        text = (await self.ask(Ask("GET", "/metrics?gathered=false"))).text
        return {
            f"{name}{{{labels}}}" if labels else name: float(value)
            for name, labels, value in _FIGURE.findall(text)
        }

    async def cache(self, counter: str, namespace: str, **labels: str) -> float:
        """Return a counter of the cache, 0 while there is none."""
        names = {"namespace": namespace} | labels
        written = ",".join(f'{name}="{names[name]}"' for name in sorted(names))
        return (await self.figures()).get(f"muniment_cache_{counter}_total{{{written}}}", 0)

    async def log_line(self, request_id: str) -> dict[str, Any]:
        """Return what was logged of a request, which may be a moment after its answer."""
        deadline = time.monotonic() + 10
        while True:
            for line in _text(self._log).splitlines():
                if line.startswith("{") and f'"{request_id}"' in line:
                    found: dict[str, Any] = json.loads(line)
                    return found
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)


@asynccontextmanager
async def api_processes(
    target: Installation, folder: Path, *, redis_url: str | None, count: int = 2
) -> AsyncIterator[list[ApiProcess]]:
    """Run processes of one installation, with data in a folder, until the context ends.

    Rate limits are on, and high enough for nobody to meet one who does not bring their own.
    """
    tier = {"requests_per_minute": MANY}
    environment = os.environ | {
        "MUNIMENT_DATABASE_URL": target.owner_dsn,
        "MUNIMENT_APP_DATABASE_URL": target.app_dsn,
        "MUNIMENT_OPERATOR_DATABASE_URL": target.operator_dsn,
        "MUNIMENT_DATA_DIR": str(folder),
        "MUNIMENT_SECRET_KEY": SECRET.decode(),
        "MUNIMENT_PORT": "0",
        "MUNIMENT_POOL_SIZE": "6",
        "MUNIMENT_LOG_FORMAT": "json",
        "MUNIMENT_SIGN_IN_ATTEMPTS_PER_ADDRESS": "1000000",
        "MUNIMENT_RECONCILE_CONNECTIONS": json.dumps(CONNECTIONS),
        "MUNIMENT_TIERS": json.dumps(dict.fromkeys(("free", "pro", "enterprise"), tier)),
    }
    if redis_url is not None:
        environment["MUNIMENT_REDIS_URL"] = redis_url
    async with AsyncExitStack() as stack:
        # All start at once: each takes seconds to load its modules.
        starting = [
            await stack.enter_async_context(_process(environment, folder / f"{number}.log"))
            for number in range(count)
        ]
        yield [await ready for ready in starting]


@asynccontextmanager
async def _process(
    environment: dict[str, str], log: Path
) -> AsyncIterator[asyncio.Task[ApiProcess]]:
    project = Path(__file__).parents[2]
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.app.api_processes",
            stdout=asyncio.subprocess.PIPE,
            stderr=stream,
            cwd=project,
            env=environment | {"PYTHONPATH": f"{project}{os.pathsep}{project / 'src'}"},
        )
    async with httpx.AsyncClient(timeout=30) as client:

        async def ready() -> ApiProcess:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
            assert line, _text(log)
            client.base_url = line.decode().strip()
            return ApiProcess(process, client, log)

        waiting = asyncio.create_task(ready())
        try:
            yield waiting
        finally:
            waiting.cancel()
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _serve(settings: Settings) -> None:
    with (
        installation(settings) as target,
        listening_socket(settings.host, settings.port) as listener,
    ):
        timeout = settings.api_statement_timeout
        async with target.open(settings, statement_timeout=timeout) as database:
            services = Services(
                database,
                target.secret,
                settings,
                None,  # type: ignore[arg-type]  # nobody searches by meaning
                search_index(),
                open_blobs(settings),
            )
            await serve_api(services, listener, on_ready=_say)


def _text(log: Path) -> str:
    return log.read_text()


def _say(address: str) -> None:
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()


def _main() -> None:
    settings = Settings()
    configure_logging(settings.log_format, settings.log_level)
    # The server raises the signal that stopped it again when all is closed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


if __name__ == "__main__":
    _main()
