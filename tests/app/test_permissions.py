"""Every route, asked by everybody: the answer is what the table of permissions says.

What is expected is derived from `permissions.RULES`, from the router that a handler is in, and
from one valid request for each route in tests/app/valid_requests.py.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from muniment.admission import (
    action_of,
    admit_anyone,
    admit_member,
    admit_operator,
    admit_person,
)
from muniment.app import Application, Services, create_app
from muniment.components import search_index
from muniment.db import Role, new_id
from muniment.db.installation import Installation
from muniment.documents.blobs import BlobStore
from muniment.settings import Settings
from muniment.tenancy.permissions import RULES
from tests.app.callers import CALLERS, SECRET, Caller, Home, Present, World
from tests.app.conftest import client_of
from tests.app.reconcile_things import CONNECTIONS
from tests.app.test_room_endpoints import guards_of
from tests.app.valid_calls import Call, Valid
from tests.app.valid_requests import VALID
from tests.conftest import cloned

SAFE = {"GET", "HEAD"}
OWNER = next(caller for caller in CALLERS if caller.name == "owner key")
NOT_FOUND = (404, "…_not_found")
SAME_FOR_ALL = ("GET /static/", "GET /schema/")
"""Files, which nothing is asked for."""


def routes(app: Application) -> dict[str, HTTPRouteHandler]:
    return {
        f"{method} {route.path}": handler
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS" and not f"{method} {route.path}".startswith(SAME_FOR_ALL)
    }


class Running:
    """The application, somebody to ask it, and the world it is asked about."""

    def __init__(self, app: Application, client: httpx.AsyncClient, world: World) -> None:
        self.routes = routes(app)
        self.client = client
        self.world = world

    async def ask(
        self, route: str, caller: Caller, home: Home, *, unknown: bool = False
    ) -> httpx.Response:
        """Send the valid request of a route for a caller, about things of an organization."""
        async with self.world.writing():
            who = await self.world.come(caller)
            call = await VALID[route].make(self.world, home, who)
        if unknown:
            call = with_unknown_ids(call)
        return await self.send(route, call, who)

    async def send(self, route: str, call: Call, who: Present) -> httpx.Response:
        method, _, template = route.partition(" ")
        path = re.sub(r":\w+}", "}", template).format(**call.ids)
        self.client.cookies.clear()  # else whoever was signed in by a request would ask the next
        return await self.client.request(method, path, headers=who.headers, **call.body)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    server: Installation, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """One for all callers: they leave nothing behind that another meets."""
    folder = tmp_path_factory.mktemp("permissions")
    settings = Settings(
        data_dir=folder,
        rate_limits=False,
        sign_in_attempts_per_address=1_000_000,
        reconcile_connections=CONNECTIONS,
    )
    blobs = BlobStore.in_folder(folder / "blobs")
    with cloned(server) as clone:
        async with clone.open() as database:
            services = Services(database, SECRET, settings, None, search_index(), blobs)  # type: ignore[arg-type]
            app = create_app(settings, services)
            async with client_of(app) as client:
                yield Running(app, client, await World.made(database, blobs))


def expected(handler: HTTPRouteHandler, route: str, caller: Caller, *, own: bool) -> Any:
    """Return what a caller is answered: the status of success, or status and code of an error."""
    valid = VALID[route]
    writes = route.partition(" ")[0] not in SAFE
    refused = None
    match guards_of(handler):
        case [guard] if guard is admit_member:
            refused = of_members(handler, caller, valid, writes=writes)
        case [guard] if guard is admit_person:
            refused = of_people(caller, writes=writes)
        case [guard] if guard is admit_operator:
            refused = of_operators(caller)
        case [guard] if guard is admit_anyone:
            # Whoever is signed in accepts an invitation as who they are.
            if route == "POST /v1/invitations/accept" and known(caller) and not caller.csrf:
                refused = 403, "wrong_csrf_token"
    if refused is not None:
        return refused
    if not own or (valid.names == "workspace" and caller.limited_to == "second"):
        return (valid.status, "0 items") if valid.leaves_out else NOT_FOUND
    if valid.there and caller.narrowed_to and not caller.narrowed_to.covers(valid.there):
        return 403, "not_allowed"
    if valid.people_only and caller.sends == "key":
        return 403, "not_allowed"
    return (valid.status, "1 items") if valid.leaves_out else valid.status


def known(caller: Caller) -> bool:
    return caller.sends == "session" and caller.refused_with is None


def role_matters(handler: HTTPRouteHandler) -> bool:
    return bool(guards_of(handler)) and guards_of(handler) != [admit_anyone]


def of_members(
    handler: HTTPRouteHandler, caller: Caller, valid: Valid, *, writes: bool
) -> tuple[int, str] | None:
    if caller.sends == "nothing":
        return 401, "missing_credentials"
    if caller.sends == "operator key":
        return 401, "invalid_credentials"
    if caller.refused_with is not None:
        return 401, caller.refused_with
    if writes and not caller.csrf:
        return 403, "wrong_csrf_token"
    if caller.of == "none":
        return 403, "no_organization"
    if caller.of == "suspended":
        return 403, "organization_suspended"
    rule = RULES[action_of(handler)]
    if not caller.role.covers(rule.role) or (rule.organization_wide and caller.limited_to):
        return 403, "not_allowed"
    return None


def of_people(caller: Caller, *, writes: bool) -> tuple[int, str] | None:
    if caller.sends != "session":
        return 401, "missing_credentials"
    if caller.refused_with is not None:
        return 401, caller.refused_with
    if writes and not caller.csrf:
        return 403, "wrong_csrf_token"
    return None


def of_operators(caller: Caller) -> tuple[int, str] | None:
    if caller.sends == "operator key":
        return None
    return 401, "invalid_operator_key" if caller.sends == "key" else "missing_operator_key"


def answered(route: str, response: httpx.Response) -> Any:
    if response.status_code == 200 and VALID[route].leaves_out:
        return 200, f"{len(response.json()['items'])} items"
    if response.status_code < 400 or "oidc" in response.url.path:
        return response.status_code
    code = response.json()["code"]
    if response.status_code == 404 and code.endswith(("_not_found", "_unusable")):
        return NOT_FOUND
    return response.status_code, code


def with_unknown_ids(call: Call) -> Call:
    """Return the same request about things that nobody has."""
    body = {
        where: {
            name: str(new_id()) if name.endswith("_id") else value for name, value in sent.items()
        }
        if isinstance(sent, dict)
        else sent
        for where, sent in call.body.items()
    }
    ids = {name: new_id() if name.endswith("_id") else one for name, one in call.ids.items()}
    return Call(ids, body)


def test_every_route_has_a_valid_request() -> None:
    assert set(routes(create_app(Settings()))) == set(VALID)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
async def test_everybody_is_answered_as_the_table_says(running: Running, caller: Caller) -> None:
    """About what is theirs, and about what is somebody else's."""
    homes = running.world.homes
    # Whoever is in no organization, or unknown, has nothing there: it is ours that they ask about.
    mine = homes.get(caller.of, homes["ours"])
    others = homes["theirs" if caller.of == "ours" else "ours"]
    wrong = []
    for route, handler in running.routes.items():
        if not role_matters(handler) and (caller.role is not Role.OWNER or caller.limited_to):
            continue
        for own in (True, False):
            if not own and VALID[route].names == "nothing":
                continue
            is_own = own and (caller.of != "none" or VALID[route].names == "nothing")
            response = await running.ask(route, caller, mine if own else others)
            wanted = expected(handler, route, caller, own=is_own)
            answer = answered(route, response)
            if answer != wanted:
                wrong.append((route, "own" if own else "others'", answer, wanted))
    assert wrong == []


@pytest.mark.asyncio(loop_scope="module")
async def test_what_others_have_is_answered_like_what_nobody_has(running: Running) -> None:
    """So that an id cannot be tried out; the request's own id aside."""
    different = []
    for route, handler in running.routes.items():
        valid = VALID[route]
        if valid.names == "nothing" or valid.leaves_out or guards_of(handler) != [admit_member]:
            continue
        home = running.world.homes["theirs"]
        theirs = (await running.ask(route, OWNER, home)).json()
        nobodys = (await running.ask(route, OWNER, home, unknown=True)).json()
        for problem in (theirs, nobodys):
            del problem["request_id"]
        if theirs != nobodys:
            different.append((route, theirs, nobodys))
    assert different == []
