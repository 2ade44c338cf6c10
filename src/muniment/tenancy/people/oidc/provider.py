"""The identity provider of the settings, as sign-in uses it: the authorization code flow with PKCE.

OpenID Connect Core 1.0 (3.1), RFC 7636 (PKCE), RFC 9207 (issuer in the answer).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import msgspec
import structlog
from authlib.integrations.httpx_client import (  # type: ignore[import-untyped]
    AsyncOAuth2Client,
    OAuthError,
)

from muniment.outside_services import outside_service
from muniment.settings import InvalidSetting, Settings
from muniment.tenancy.people.oidc.attempt import Attempt
from muniment.tenancy.people.oidc.discovery import Discovery, Metadata, is_safe
from muniment.tenancy.people.oidc.errors import (
    InvalidSignIn,
    ProviderUnavailable,
    SignInRefused,
)
from muniment.tenancy.people.oidc.id_token import refused, verified_claims
from muniment.tenancy.people.password_resets import site_of

CALLBACK = "/v1/sign-in/oidc/callback"
TIMEOUT_SECONDS = 10.0
"""For all that is asked of the provider in one step of a sign-in."""

_SCOPE = "openid email profile"
_FAILURES = (
    TimeoutError,
    OSError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    msgspec.MsgspecError,
    ValueError,
)
_ERROR_CODE = re.compile(r"[a-z_]{1,64}")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, on the provider's word."""

    issuer: str
    subject: str
    """Never given to somebody else by this issuer."""
    email: str | None
    email_verified: bool
    name: str | None


class IdentityProvider:
    """Sends people to the provider and understands what they bring back."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str | None,
        *,
        name: str,
        redirect_uri: str,
        http: httpx2.AsyncClient,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        """Know a provider; nothing is fetched yet. `open_provider` makes one of the settings."""
        self.name = name
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._timeout = timeout
        self._discovery = Discovery(issuer, http)
        # Making one reads all certificates, which takes milliseconds: once is enough.
        self._tls = httpx2.create_ssl_context()

    async def authorization_url(self, attempt: Attempt) -> str:
        """Return where to send a browser that begins to sign in.

        Raises:
            ProviderUnavailable: the provider does not answer.
        """
        async with self._bounded():
            metadata = await self._discovery.metadata()
        async with self._client(metadata) as client:
            url, _state = client.create_authorization_url(
                metadata.authorization_endpoint,
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.code_verifier,
            )
        return str(url)

    async def identity(self, attempt: Attempt, code: str) -> Identity:
        """Return who came back with a code.

        Raises:
            SignInRefused: the provider does not take the code: it was used, or is not its own.
            InvalidSignIn: the ID token is not what it should be.
            ProviderUnavailable: the provider does not answer, or does not know us.
        """
        async with self._bounded():
            metadata = await self._discovery.metadata()
            async with self._client(metadata) as client:
                token = await self._exchange(client, metadata, attempt, code)
                id_token = token.get("id_token")
                if not isinstance(id_token, str):
                    raise refused("no_id_token")
                claims = await verified_claims(
                    self._discovery,
                    id_token,
                    issuer=metadata.issuer,
                    client_id=self._client_id,
                    nonce=attempt.nonce,
                )
                if "email" not in claims and metadata.userinfo_endpoint is not None:
                    told = await self._userinfo(client, metadata.userinfo_endpoint)
                    if told.get("sub") != claims["sub"]:
                        raise refused("userinfo_of_somebody_else")
                    claims = {**told, **claims}
        return _identity_of(metadata.issuer, claims)

    async def require_own_answer(self, issuer: str | None) -> None:
        """Refuse an answer that says it is another provider's.

        Raises:
            InvalidSignIn: it does.
            ProviderUnavailable: the provider does not answer.
        """
        if issuer is None:
            return
        async with self._bounded():
            metadata = await self._discovery.metadata()
        if issuer != metadata.issuer:
            raise InvalidSignIn

    async def _exchange(
        self, client: Any, metadata: Metadata, attempt: Attempt, code: str
    ) -> dict[str, Any]:
        try:
            with outside_service("oidc"):
                token: dict[str, Any] = await client.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=attempt.code_verifier,
                )
        except OAuthError as error:
            if error.error == "invalid_grant":
                raise refusal("invalid_grant") from error
            # The rest is between the provider and us: wrong secret, wrong redirect address.
            _log.error("identity_provider_refused_us", error=str(error.error)[:64])
            raise ProviderUnavailable(
                "The identity provider does not accept this installation; tell its administrator."
            ) from error
        return token

    async def _userinfo(self, client: Any, address: str) -> dict[str, Any]:
        with outside_service("oidc"):
            response = await client.get(address)
            response.raise_for_status()
        return msgspec.json.decode(response.content, type=dict[str, Any])

    def _client(self, metadata: Metadata) -> Any:
        """Return a client for one exchange; it keeps the tokens that it is given."""
        method = "none"
        if self._client_secret is not None:
            offered = metadata.token_endpoint_auth_methods_supported
            only_in_body = "client_secret_basic" not in offered and "client_secret_post" in offered
            method = "client_secret_post" if only_in_body else "client_secret_basic"
        return AsyncOAuth2Client(
            self._client_id,
            self._client_secret,
            token_endpoint_auth_method=method,
            scope=_SCOPE,
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            verify=self._tls,
            timeout=self._timeout,
        )

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except _FAILURES as error:
            raise self._discovery.failed(type(error).__name__) from error


def refusal(error: str) -> SignInRefused:
    """Return what to tell somebody whom the provider sends back with an error.

    Args:
        error: code of RFC 6749 (4.1.2.1) or OpenID Connect; anything else is not repeated.
    """
    code = error if _ERROR_CODE.fullmatch(error) else "unknown"
    if code == "access_denied":
        return SignInRefused("You, or the identity provider, did not agree to signing in here.")
    if code == "invalid_grant":
        return SignInRefused("This answer of the identity provider was used before: begin again.")
    return SignInRefused(f"The identity provider did not let you in: {code}.")


@asynccontextmanager
async def open_provider(
    settings: Settings, *, patience: float = TIMEOUT_SECONDS
) -> AsyncIterator[IdentityProvider | None]:
    """Open the provider of the settings, or none if they name none; nothing is fetched yet.

    Args:
        settings: of this process.
        patience: seconds for what is asked of the provider in one step of a sign-in.

    Raises:
        InvalidSetting: the settings of the provider are not complete, or not safe.
    """
    if settings.oidc_issuer is None:
        yield None
        return
    if not is_safe(settings.oidc_issuer):
        raise InvalidSetting("MUNIMENT_OIDC_ISSUER: the provider must be reached by https.")
    if not settings.oidc_client_id:
        raise InvalidSetting("MUNIMENT_OIDC_CLIENT_ID: needed with MUNIMENT_OIDC_ISSUER.")
    async with httpx2.AsyncClient(timeout=patience / 2) as http:
        yield IdentityProvider(
            settings.oidc_issuer,
            settings.oidc_client_id,
            settings.oidc_client_secret or None,
            name=settings.oidc_name,
            redirect_uri=site_of(settings) + CALLBACK,
            http=http,
            timeout=patience,
        )


def _identity_of(issuer: str, claims: dict[str, Any]) -> Identity:
    email, name = claims.get("email"), claims.get("name") or claims.get("preferred_username")
    return Identity(
        issuer=issuer,
        subject=claims["sub"],
        email=email if isinstance(email, str) else None,
        # Some providers write it as text.
        email_verified=claims.get("email_verified") in (True, "true"),
        name=name if isinstance(name, str) else None,
    )
