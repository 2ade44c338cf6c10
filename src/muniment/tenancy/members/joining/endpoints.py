"""Accepting invitations and founding organizations, signed in or not."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, JSONBody, SkipValidation

from muniment.tenancy.members.joining.accepting import (
    accept_as,
    accept_offered,
    accept_with_link,
    offered_invitations,
)
from muniment.tenancy.members.joining.founding import found_organization
from muniment.tenancy.members.schemas import Acceptance, NewOrganization, OfferedInvitations
from muniment.tenancy.people.cookies import served_securely, session_cookie
from muniment.tenancy.people.people import People
from muniment.tenancy.people.person import Person
from muniment.tenancy.people.schemas import SignedIn
from muniment.tenancy.people.signed_in import Client, describe_session

NOT_KEPT = CacheControlHeader(no_store=True)
"""What tells of a session is kept by no cache on the way."""


@post(
    "/v1/invitations/accept",
    tags=["sign-in"],
    summary="Accept an invitation",
    status_code=200,
    cache_control=NOT_KEPT,
)
async def accept_invitation(
    request: Request[Any, Any, Any],
    people: NamedDependency[SkipValidation[People]],
    visitor: NamedDependency[SkipValidation[Person | None]],
    data: JSONBody[Acceptance],
) -> Response[SignedIn]:
    """Become a member, with the token of the link: once.

    Whoever is signed in needs nothing else. Others give the password of their account of the
    invited address, or a name and a password for a new one, and are signed in.
    """
    if visitor is not None:
        await accept_as(people, data.token, visitor)
        return Response(await describe_session(people.database, visitor, people.terms))
    address = None if request.client is None else request.client.host
    client = Client(address, request.headers.get("user-agent"))
    signed_in = await accept_with_link(people, data, client)
    session = signed_in.session
    secure = served_securely(request.url.scheme, people.settings.public_url)
    cookie = session_cookie(session.token, session.expires_at, secure=secure)
    return Response(signed_in.told(), cookies=[cookie])


@get(
    "/v1/user/invitations",
    tags=["sign-in"],
    summary="List invitations that wait for you",
    cache_control=NOT_KEPT,
)
async def list_offered_invitations(
    people: NamedDependency[SkipValidation[People]],
    person: NamedDependency[SkipValidation[Person]],
) -> OfferedInvitations:
    """None are shown before your e-mail address is verified; their links work nonetheless."""
    return await offered_invitations(people, person)


@post(
    "/v1/user/invitations/{invitation_id:uuid}/accept",
    tags=["sign-in"],
    summary="Accept an invitation that waits for you",
    status_code=200,
    cache_control=NOT_KEPT,
)
async def accept_offered_invitation(
    people: NamedDependency[SkipValidation[People]],
    person: NamedDependency[SkipValidation[Person]],
    invitation_id: FromPath[UUID],
) -> SignedIn:
    """Your session works in the organization from then on."""
    await accept_offered(people, person, invitation_id)
    return await describe_session(people.database, person, people.terms)


@post(
    "/v1/organizations",
    tags=["sign-in"],
    summary="Create an organization",
    cache_control=NOT_KEPT,
)
async def post_organization(
    people: NamedDependency[SkipValidation[People]],
    person: NamedDependency[SkipValidation[Person]],
    data: JSONBody[NewOrganization],
) -> SignedIn:
    """You own it, and your session works in it from then on."""
    await found_organization(people, person, data.name)
    return await describe_session(people.database, person, people.terms)


public_handlers: list[BaseRouteHandler] = [accept_invitation]
person_handlers: list[BaseRouteHandler] = [
    list_offered_invitations,
    accept_offered_invitation,
    post_organization,
]
