"""Single sign-on: the way to the identity provider and back."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter, SkipValidation
from litestar.response import Redirect

from muniment.tenancy.people.cookies import served_securely, session_cookie
from muniment.tenancy.people.oidc.attempt import Attempt, ended_attempt_cookie
from muniment.tenancy.people.oidc.errors import InvalidSignIn, NoSingleSignOn
from muniment.tenancy.people.oidc.linking import user_of_identity
from muniment.tenancy.people.oidc.provider import IdentityProvider, refusal
from muniment.tenancy.people.oidc.schemas import SignInMethods, SingleSignOn
from muniment.tenancy.people.password_resets import site_of
from muniment.tenancy.people.people import People
from muniment.tenancy.people.sign_in import enter
from muniment.tenancy.people.signed_in import Client

AnyRequest = Request[Any, Any, Any]
Provider = NamedDependency[SkipValidation[IdentityProvider | None]]
Text = Annotated[str | None, QueryParameter(max_length=4096)]

BEGIN = "/v1/sign-in/oidc"
NOT_KEPT = CacheControlHeader(no_store=True)


@get("/v1/sign-in/methods", tags=["sign-in"], summary="Show how to sign in")
async def show_methods(
    people: NamedDependency[SkipValidation[People]], identity_provider: Provider
) -> SignInMethods:
    """Whether anybody may sign up, and where single sign-on begins, if there is one."""
    single = None if identity_provider is None else SingleSignOn(identity_provider.name, BEGIN)
    return SignInMethods(people.settings.sign_up, single)


@get(
    BEGIN,
    tags=["sign-in"],
    summary="Sign in with the identity provider",
    status_code=302,
    cache_control=NOT_KEPT,
)
async def begin_single_sign_on(
    request: AnyRequest,
    people: NamedDependency[SkipValidation[People]],
    identity_provider: Provider,
    return_to: Annotated[
        str, QueryParameter(max_length=2000, description="Path of ours to show afterwards.")
    ] = "/account",
) -> Redirect:
    """For browsers: leads to the provider, which leads back to the callback."""
    provider = _required(identity_provider)
    attempt = Attempt.begin(people.terms.secret, return_to)
    url = await provider.authorization_url(attempt)
    cookie = attempt.cookie(secure=_is_secure(request, people))
    return Redirect(url, status_code=302, cookies=[cookie])


@get(
    f"{BEGIN}/callback",
    tags=["sign-in"],
    summary="Come back from the identity provider",
    status_code=303,
    cache_control=NOT_KEPT,
)
async def end_single_sign_on(
    *,
    request: AnyRequest,
    people: NamedDependency[SkipValidation[People]],
    identity_provider: Provider,
    given_state: Annotated[str | None, QueryParameter(name="state", max_length=4096)] = None,
    code: Text = None,
    iss: Text = None,
    error: Text = None,
) -> Redirect:
    """Opens a session for whom the provider vouches, and leads to where the sign-in began.

    Who comes for the first time gets an account, or the one of their verified e-mail address.
    """
    provider = _required(identity_provider)
    secure = _is_secure(request, people)
    attempt = Attempt.resume(people.terms.secret, request.cookies, given_state or "", secure=secure)
    await provider.require_own_answer(iss)
    if error is not None:
        raise refusal(error)
    if code is None:
        raise InvalidSignIn
    user = await user_of_identity(people, await provider.identity(attempt, code))
    address = None if request.client is None else request.client.host
    client = Client(address, request.headers.get("user-agent"))
    session = (await enter(people, user, None, client)).session
    return Redirect(
        site_of(people.settings) + attempt.return_to,
        status_code=303,
        cookies=[
            session_cookie(session.token, session.expires_at, secure=secure),
            ended_attempt_cookie(secure=secure),
        ],
    )


def _required(provider: IdentityProvider | None) -> IdentityProvider:
    if provider is None:
        raise NoSingleSignOn
    return provider


def _is_secure(request: AnyRequest, people: People) -> bool:
    return served_securely(request.url.scheme, people.settings.public_url)


public_handlers: list[BaseRouteHandler] = [
    show_methods,
    begin_single_sign_on,
    end_single_sign_on,
]
