"""Every operation of the description, fuzzed as each kind of caller through a real server.

Requests are made by schemathesis from the OpenAPI description: such that fit it and such that
do not. Whatever is sent, the answer is none of 5xx and is what the description says. The budget
is fixed and the requests are the same in every run.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import defaultdict
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from muniment.api_server import listening_socket, serve_api
from muniment.app import Services
from muniment.components import search_index
from muniment.db.installation import Installation
from muniment.documents.blobs import BlobStore
from muniment.documents.embedding import Embedder
from muniment.settings import Settings
from tests.app.callers import CALLERS, SECRET, Caller, World
from tests.app.reconcile_things import CONNECTIONS
from tests.app.valid_calls import Call
from tests.app.valid_requests import VALID
from tests.conftest import cloned

T = TypeVar("T")

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 3
"""Requests of each kind, for each operation and caller."""
ASKING = {
    "nobody",
    "viewer key",
    "editor key",
    "admin key",
    "owner key",
    "owner session",
    "operator key",
}
SECRETS = ("password", "current_password", "new_password", "token")
"""Members of a body that must never come back."""


class Served:
    """The application on a real server, in a thread with an event loop of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str, world: World) -> None:
        self.loop = loop
        self.url = url
        self.world = world
        self.session = requests.Session()
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # So that nothing is open when the server is stopped.
        self.session.headers["Connection"] = "close"

    def run(self, work: Awaitable[T]) -> T:
        return asyncio.run_coroutine_threadsafe(_awaited(work), self.loop).result(60)

    def come(self, caller: Caller, operation: str) -> tuple[dict[str, str], Call]:
        """Make a caller, and things for the valid request of an operation."""

        async def make() -> tuple[dict[str, str], Call]:
            async with self.world.writing():
                who = await self.world.come(caller)
                home = self.world.homes["ours"]
                return who.headers, await VALID[operation].make(self.world, home, who)

        return self.run(make())


async def _awaited(work: Awaitable[T]) -> T:
    return await work


@pytest.fixture(scope="module")
def served(server: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("fuzz")
    settings = Settings(
        data_dir=folder,
        rate_limits=False,
        sign_in_attempts_per_address=1_000_000,
        sign_in_attempts_per_account=1_000_000,
        reconcile_connections=CONNECTIONS,
    )
    with (
        cloned(server) as clone,
        listening_socket("127.0.0.1", 0) as listener,
        Embedder.load(threads=1) as embedder,
        _loop() as loop,
    ):
        blobs = BlobStore.in_folder(folder / "blobs")
        ready, stopped = threading.Event(), threading.Event()
        made: list[World] = []

        async def serve() -> None:
            try:
                async with clone.open(pool_size=8) as database:
                    made.append(await World.made(database, blobs))
                    services = Services(database, SECRET, settings, embedder, search_index(), blobs)
                    await serve_api(services, listener, on_ready=lambda _address: ready.set())
            finally:
                stopped.set()

        serving = asyncio.run_coroutine_threadsafe(serve(), loop)
        assert ready.wait(60), serving
        port = listener.getsockname()[1]
        served = Served(loop, f"http://127.0.0.1:{port}", made[0])
        yield served
        served.session.close()
        serving.cancel()
        assert stopped.wait(60)


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread until the context ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def description(served: Served) -> Any:
    """The OpenAPI description, as schemathesis reads it."""
    document = served.session.get(f"{served.url}/schema/openapi.json", timeout=60).json()
    return schemathesis.openapi.from_dict(document)


def operations(description: Any) -> Iterator[Any]:
    for found in description.get_all_operations():
        yield found.ok()


@pytest.mark.parametrize(
    "caller", [one for one in CALLERS if one.name in ASKING], ids=lambda caller: caller.name
)
def test_whatever_is_sent_is_answered_as_described(
    served: Served, description: Any, caller: Caller
) -> None:
    typed = {re.sub(r":\w+}", "}", route): route for route in VALID}
    faults: defaultdict[str, set[str]] = defaultdict(set)
    answered = 0
    for operation in operations(description):
        label = f"{operation.method.upper()} {operation.path}"
        headers, call = served.come(caller, typed[label])

        def ask(case: Case, headers: dict[str, str] = headers, label: str = label) -> None:
            nonlocal answered
            answered += 1
            for fault in answer(served, case, headers):
                faults[label].add(fault)

        ask(valid_case(operation, call))
        for mode in GenerationMode:
            known = {name: str(value) for name, value in call.ids.items()}
            named = {"path_parameters": known} if known and mode.is_positive else {}
            try:
                strategy = operation.as_strategy(generation_mode=mode, **named)
                fuzz(strategy, ask)
            except hypothesis.errors.Unsatisfiable:
                continue  # nothing can be sent that does not fit
    assert dict(faults) == {}
    assert answered > 200


def fuzz(strategy: Any, ask: Any) -> None:
    @hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def run(case: Case) -> None:
        ask(case)

    run()


def valid_case(operation: Any, call: Call) -> Case:
    """Return the request that succeeds, so that what success looks like is checked as well."""
    arguments: dict[str, Any] = {}
    if "json" in call.body:
        arguments = {"body": call.body["json"], "media_type": "application/json"}
    elif "files" in call.body:
        sent = call.body["files"]
        body = {name: content for name, (_file, content) in sent if name == "file"}
        if not body:
            body = {"files": [content for _name, (_file, content) in sent]}
        arguments = {"body": body | call.body["data"], "media_type": "multipart/form-data"}
    ids = {name: str(value) for name, value in call.ids.items()}
    case: Case = operation.Case(path_parameters=ids, **arguments)
    return case


def answer(served: Served, case: Case, headers: dict[str, str]) -> Iterator[str]:
    """Send a request and give what is wrong with the answer."""
    response = case.call(base_url=served.url, session=served.session, headers=headers)
    try:
        case.validate_response(response, checks=CHECKS)
    except BaseExceptionGroup as group:
        for failure in group.exceptions:
            yield f"{failure}\n{case.as_curl_command()}"
    if isinstance(case.body, dict):
        for name in SECRETS:
            value = case.body.get(name)
            if isinstance(value, str) and len(value) >= 8 and value in response.text:
                yield f"{name} came back\n{case.as_curl_command()}"
