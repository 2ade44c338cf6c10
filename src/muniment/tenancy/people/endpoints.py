"""Signing up, in and out, and what people change about their own account."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation

from muniment.db import OrgId
from muniment.tenancy.people import account
from muniment.tenancy.people.cookies import ended_cookie, served_securely, session_cookie
from muniment.tenancy.people.password_resets import complete_reset, request_reset
from muniment.tenancy.people.people import People
from muniment.tenancy.people.person import Person
from muniment.tenancy.people.schemas import (
    ChangePassword,
    ChangeUser,
    CompleteReset,
    RequestReset,
    SignedIn,
    SignIn,
    SignUp,
    SwitchOrganization,
    User,
)
from muniment.tenancy.people.sessions import SessionPage
from muniment.tenancy.people.sessions import list_sessions as page_of_sessions
from muniment.tenancy.people.sign_in import sign_in as sign_in_with_password
from muniment.tenancy.people.sign_up import sign_up as sign_up_with_password
from muniment.tenancy.people.signed_in import Client, SignedInUser, describe_session

AnyRequest = Request[Any, Any, Any]

NOT_KEPT = CacheControlHeader(no_store=True)
"""What tells of a session is kept by no cache on the way."""


@post("/v1/sign-up", tags=["sign-in"], summary="Sign up", cache_control=NOT_KEPT)
async def sign_up(
    request: AnyRequest,
    people: NamedDependency[SkipValidation[People]],
    data: JSONBody[SignUp],
) -> Response[SignedIn]:
    """Create an account and an organization, and sign in; the cookie holds the session."""
    return _welcome(request, people, await sign_up_with_password(people, data, _client(request)))


@post("/v1/sign-in", tags=["sign-in"], summary="Sign in", status_code=200, cache_control=NOT_KEPT)
async def sign_in(
    request: AnyRequest,
    people: NamedDependency[SkipValidation[People]],
    data: JSONBody[SignIn],
) -> Response[SignedIn]:
    """Open a session: later requests carry its cookie and its `csrf_token`."""
    return _welcome(request, people, await sign_in_with_password(people, data, _client(request)))


@post(
    "/v1/password-resets",
    tags=["sign-in"],
    summary="Send a link to set a password",
    status_code=202,
    cache_control=NOT_KEPT,
)
async def create_password_reset(
    request: AnyRequest,
    people: NamedDependency[SkipValidation[People]],
    data: JSONBody[RequestReset],
) -> None:
    """The answer is the same whether there is such an account or not."""
    await request_reset(people, data.email, _client(request))


@post(
    "/v1/password-resets/complete",
    tags=["sign-in"],
    summary="Set a password with a link",
    status_code=204,
    cache_control=NOT_KEPT,
)
async def complete_password_reset(
    request: AnyRequest,
    people: NamedDependency[SkipValidation[People]],
    data: JSONBody[CompleteReset],
) -> None:
    """A link works once and for an hour; all sessions of the account end."""
    await complete_reset(people, data, _client(request))


@get("/v1/session", tags=["sign-in"], summary="Show who is signed in", cache_control=NOT_KEPT)
async def get_session(
    people: NamedDependency[SkipValidation[People]],
    person: NamedDependency[SkipValidation[Person]],
) -> SignedIn:
    """Who is signed in, and the organizations that they can work in."""
    return await describe_session(people.database, person, people.terms)


@patch("/v1/session", tags=["sign-in"], summary="Switch the organization", cache_control=NOT_KEPT)
async def change_session(
    people: NamedDependency[SkipValidation[People]],
    person: NamedDependency[SkipValidation[Person]],
    data: JSONBody[SwitchOrganization],
) -> SignedIn:
    """Work in another of your organizations from now on."""
    await account.switch_organization(people, person, OrgId(data.organization_id))
    return await describe_session(people.database, person, people.terms)


@post("/v1/sign-out", tags=["sign-in"], summary="Sign out", status_code=204)
async def sign_out(
    request: AnyRequest,
    people: NamedDependency[SkipValidation[People]],
    person: NamedDependency[SkipValidation[Person]],
) -> Response[None]:
    """End this session, at once and everywhere."""
    await account.sign_out(people, person, person.session_id)
    return _goodbye(request, people)


@post("/v1/sign-out-everywhere", tags=["sign-in"], summary="Sign out everywhere", status_code=204)
async def sign_out_everywhere(
    request: AnyRequest,
    people: NamedDependency[SkipValidation[People]],
    person: NamedDependency[SkipValidation[Person]],
) -> Response[None]:
    """End all of your sessions, this one as well."""
    await account.sign_out_everywhere(people, person)
    return _goodbye(request, people)


@get("/v1/sessions", tags=["sign-in"], summary="List your sessions, newest first")
async def list_sessions(
    people: NamedDependency[SkipValidation[People]],
    person: NamedDependency[SkipValidation[Person]],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    cursor: Annotated[
        str | None, QueryParameter(description="`next_cursor` of the page before.")
    ] = None,
) -> SessionPage:
    """Where you are signed in at the moment."""
    async with people.database.person(person.user_id) as work:
        return await page_of_sessions(
            work,
            person.user_id,
            person.session_id,
            terms=people.terms,
            limit=limit,
            cursor=cursor,
        )


@delete("/v1/sessions/{session_id:uuid}", tags=["sign-in"], summary="End one of your sessions")
async def delete_session(
    people: NamedDependency[SkipValidation[People]],
    person: NamedDependency[SkipValidation[Person]],
    session_id: FromPath[UUID],
) -> None:
    """Sign out a browser or program that you have left somewhere."""
    await account.sign_out(people, person, session_id)


@post("/v1/password", tags=["sign-in"], summary="Change your password", status_code=204)
async def change_password(
    people: NamedDependency[SkipValidation[People]],
    person: NamedDependency[SkipValidation[Person]],
    data: JSONBody[ChangePassword],
) -> None:
    """Your other sessions end."""
    await account.change_password(people, person, data)


@patch("/v1/user", tags=["sign-in"], summary="Change your name")
async def change_user(
    people: NamedDependency[SkipValidation[People]],
    person: NamedDependency[SkipValidation[Person]],
    data: JSONBody[ChangeUser],
) -> User:
    """Your name changes in all of your organizations."""
    await account.change_name(people, person, data.name)
    return User(person.user_id, person.email, data.name.strip())


def _client(request: AnyRequest) -> Client:
    address = None if request.client is None else request.client.host
    return Client(address, request.headers.get("user-agent"))


def _is_secure(request: AnyRequest, people: People) -> bool:
    return served_securely(request.url.scheme, people.settings.public_url)


def _welcome(request: AnyRequest, people: People, signed_in: SignedInUser) -> Response[SignedIn]:
    session = signed_in.session
    cookie = session_cookie(session.token, session.expires_at, secure=_is_secure(request, people))
    return Response(signed_in.told(), cookies=[cookie])


def _goodbye(request: AnyRequest, people: People) -> Response[None]:
    return Response(None, cookies=[ended_cookie(secure=_is_secure(request, people))])


public_handlers = [sign_up, sign_in, create_password_reset, complete_password_reset]
person_handlers = [
    get_session,
    change_session,
    sign_out,
    sign_out_everywhere,
    list_sessions,
    delete_session,
    change_password,
    change_user,
]
