"""Who is let in to which endpoints: one router and one guard for each kind of caller.

- members: an API key, or the session of a member; what they may do is in the table of
  `tenancy.permissions`, to which each handler refers with ``action=``
- people: a session, in whatever organization
- anyone: nobody needs to sign in; held to a number of requests by address
- operators: an operator's key
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Request, Router
from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler
from litestar.params import BodyKwarg
from structlog.contextvars import bind_contextvars

from muniment.db import Database, TenantScope
from muniment.observability.request_observer import record_of
from muniment.problems import UnsupportedMediaType
from muniment.rate_limits import InboundLimits
from muniment.settings import Settings
from muniment.tenancy.authentication import Authenticator, Caller
from muniment.tenancy.errors import MissingCredentials, SessionEnded
from muniment.tenancy.operators.authentication import authenticate_operator
from muniment.tenancy.people.cookies import served_securely, session_token
from muniment.tenancy.people.csrf import require_csrf, require_same_site
from muniment.tenancy.people.person import Person
from muniment.tenancy.permissions import Action, require

_CALLER = "muniment_caller"
_PERSON = "muniment_person"
_OPERATOR = "muniment_operator"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

Connection = ASGIConnection[Any, Any, Any, Any]
AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Admission:
    """What the guards work with while the application runs."""

    authenticator: Authenticator
    limits: InboundLimits
    settings: Settings
    secret: bytes

    @property
    def database(self) -> Database:
        """Where callers are known."""
        return self.authenticator.database

    async def caller(self, connection: Connection) -> Caller:
        """Return who asks, by key or by session.

        Raises:
            MissingCredentials, InvalidCredentials, SessionEnded: nobody we know.
            NoOrganization, OrganizationSuspended: somebody who is not let in.
            CrossSiteRequest, WrongCsrfToken: a page of somebody else may have made the browser ask.
        """
        authorization = connection.headers.get("authorization")
        if authorization is not None:
            return await self.authenticator.by_key(authorization, address_of(connection))
        return await self.authenticator.member(await self.person(connection))

    async def person(self, connection: Connection) -> Person:
        """Return whose session the cookie is; see `caller`."""
        secure = served_securely(connection.url.scheme, self.settings.public_url)
        token = session_token(connection.cookies, secure=secure)
        if token is None:
            raise MissingCredentials
        person = await self.authenticator.person(token, address_of(connection))
        if connection.scope["method"] not in _SAFE:  # type: ignore[typeddict-item]
            require_csrf(
                self.secret,
                person.token_hash,
                connection.headers,
                public_url=self.settings.public_url,
            )
        return person


def for_members(handlers: Sequence[BaseRouteHandler]) -> Router:
    """Return a router that lets members and keys reach the handlers, as far as each allows.

    Raises:
        ValueError: a handler does not say which action it is.
    """
    for handler in handlers:
        action_of(handler)
    return _router(handlers, admit_member, [{"api_key": []}, {"session": []}])


def for_people(handlers: Sequence[BaseRouteHandler]) -> Router:
    """Return a router that lets people reach the handlers who are signed in."""
    return _router(handlers, admit_person, [{"session": []}])


def for_anyone(handlers: Sequence[BaseRouteHandler]) -> Router:
    """Return a router that lets anybody reach the handlers, but not too often."""
    return _router(handlers, admit_anyone, [])


def for_operators(handlers: Sequence[BaseRouteHandler]) -> Router:
    """Return a router that lets operators reach the handlers."""
    return _router(handlers, admit_operator, [{"operator_key": []}])


def _router(
    handlers: Sequence[BaseRouteHandler], guard: Any, security: list[dict[str, list[str]]]
) -> Router:
    return Router("/", route_handlers=handlers, guards=[guard], security=security)


# Each router has one guard that does all, and before the body is read; the framework copies
# guards for each handler.


async def admit_member(connection: Connection, handler: BaseRouteHandler) -> None:
    """Find out who asks, and whether they may and how often.

    Raises:
        MissingCredentials, InvalidCredentials, SessionEnded, NoOrganization,
        OrganizationSuspended, CrossSiteRequest, WrongCsrfToken: see `Admission.caller`.
        RateLimited: the organization or the key has used up its requests.
        NotAllowed: the role does not cover the action.
        UnsupportedMediaType: the body is of another type than the handler reads.
    """
    admission = _admission(connection)
    caller = await admission.caller(connection)
    connection.scope["state"][_CALLER] = caller
    record = record_of(connection.scope)
    record.org_id = str(caller.tenant.org_id)
    bind_contextvars(org_id=record.org_id)
    if admission.settings.rate_limits:
        tier = admission.settings.tiers.of(caller.organization.tier)
        record.response_headers += await admission.limits.admit_tenant(
            caller.tenant.org_id,
            tier.requests_per_minute,
            caller.api_key_id,
            caller.requests_per_minute,
        )
    # The framework answers OPTIONS by itself: its handler does nothing that needs permission.
    if connection.scope["method"] != "OPTIONS":  # type: ignore[typeddict-item]
        require(caller.tenant, action_of(handler))
    _require_media_type(connection.headers, handler)


async def admit_person(connection: Connection, handler: BaseRouteHandler) -> None:
    """Find out whose session it is, and hold the person to a number of requests."""
    admission = _admission(connection)
    person = await admission.person(connection)
    connection.scope["state"][_PERSON] = person
    if admission.settings.rate_limits:
        headers = await admission.limits.admit_person(person.user_id)
        record_of(connection.scope).response_headers += headers
    _require_media_type(connection.headers, handler)


async def admit_anyone(connection: Connection, handler: BaseRouteHandler) -> None:
    """Hold an address to its number of requests, and refuse what another site makes a browser send.

    Nobody is signed in yet, so there is no token to ask for; a page that signs its visitors in
    to somebody else's account (login CSRF) is refused all the same.
    """
    admission = _admission(connection)
    if admission.settings.rate_limits:
        headers = await admission.limits.admit_address(address_of(connection))
        record_of(connection.scope).response_headers += headers
    if connection.scope["method"] not in _SAFE:  # type: ignore[typeddict-item]
        require_same_site(connection.headers, public_url=admission.settings.public_url)
    _require_media_type(connection.headers, handler)


async def admit_operator(connection: Connection, handler: BaseRouteHandler) -> None:
    """Find out which operator asks."""
    admission = _admission(connection)
    connection.scope["state"][_OPERATOR] = await authenticate_operator(
        admission.database, connection.headers.get("authorization")
    )
    _require_media_type(connection.headers, handler)


def action_of(handler: BaseRouteHandler) -> Action:
    """Return what a handler does, as far as permission goes.

    Raises:
        ValueError: it does not say.
    """
    return Action(handler.opt.get("action", ""))


def tenant_of(request: AnyRequest) -> TenantScope:
    """Return the scope of an authenticated request."""
    return caller_of(request).tenant


def caller_of(request: AnyRequest) -> Caller:
    """Return who asks, as a member or by key."""
    caller: Caller = request.scope["state"][_CALLER]
    return caller


def person_of(request: AnyRequest) -> Person:
    """Return the person who is signed in."""
    person: Person = request.scope["state"][_PERSON]
    return person


async def visitor_of(request: AnyRequest) -> Person | None:
    """Return the person who is signed in, if one is, where anybody is let in.

    Raises:
        CrossSiteRequest, WrongCsrfToken: a page of somebody else may have made the browser ask.
    """
    try:
        return await _admission(request).person(request)
    except (MissingCredentials, SessionEnded):
        return None


def operator_of(request: AnyRequest) -> str:
    """Return which operator asks, as the audit log names it."""
    operator: str = request.scope["state"][_OPERATOR]
    return operator


def address_of(request: Connection) -> str:
    """Return where a request comes from, as far as our proxies tell."""
    return "unknown" if request.client is None else request.client.host


def _admission(connection: Connection) -> Admission:
    admission: Admission = connection.app.state["admission"]()
    return admission


def _require_media_type(headers: Headers, handler: BaseRouteHandler) -> None:
    """Refuse a body of another type; the framework would read anything as JSON."""
    field = handler.parsed_data_field
    if field is None or not isinstance(field.kwarg_definition, BodyKwarg):
        return
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    wanted = str(
        getattr(field.kwarg_definition.media_type, "value", field.kwarg_definition.media_type)
    )
    sent = headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent == wanted or (wanted == RequestEncodingType.JSON.value and sent.endswith("+json")):
        return
    raise UnsupportedMediaType(
        f"The body must be {wanted}; this one is {sent or 'of no told type'}."
    )
