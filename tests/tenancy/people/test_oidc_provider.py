"""What we believe a provider, and what happens while it does not answer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from muniment.tenancy.people.oidc.attempt import Attempt
from muniment.tenancy.people.oidc.errors import InvalidSignIn, ProviderUnavailable
from muniment.tenancy.people.oidc.provider import Identity, IdentityProvider, open_provider
from tests.oidc_provider import Claims, Provider, new_key, running_provider
from tests.tenancy.people.test_oidc import settings_of

SECRET = b"test secret"


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as provider:
        yield provider


@asynccontextmanager
async def opened(provider: Provider, **changes: Any) -> AsyncIterator[IdentityProvider]:
    async with open_provider(settings_of(provider, **changes), patience=2) as ours:
        assert ours is not None
        yield ours


async def come_back(ours: IdentityProvider) -> Identity:
    """Go to the provider and come back with what it says."""
    attempt = Attempt.begin(SECRET, "/")
    async with httpx.AsyncClient() as browser:
        there = await browser.get(await ours.authorization_url(attempt))
    query = parse_qs(urlsplit(there.headers["location"]).query)
    assert query["state"] == [attempt.state]
    await ours.require_own_answer(query["iss"][0])
    return await ours.identity(attempt, query["code"][0])


async def test_documents_are_fetched_once(provider: Provider) -> None:
    async with opened(provider) as ours:
        for _ in range(3):
            identity = await come_back(ours)
    assert identity == Identity(
        provider.issuer, "subject-1", "Grace@Example.com", email_verified=True, name="Grace Hopper"
    )
    assert provider.requests["/.well-known/openid-configuration"] == 1
    assert provider.requests["/jwks"] == 1
    assert provider.requests["/token"] == 3


@pytest.mark.parametrize(
    "change", [{"algorithm": "ES256"}, {"auth_methods": ("client_secret_post",)}]
)
async def test_other_providers_are_understood(provider: Provider, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(provider, name, value)
    if provider.algorithm == "ES256":
        provider.key = new_key("EC")
    async with opened(provider) as ours:
        assert (await come_back(ours)).subject == "subject-1"


async def test_what_is_not_in_the_token_is_asked_for(provider: Provider) -> None:
    provider.only_in_userinfo = ("email", "email_verified", "name")
    async with opened(provider) as ours:
        identity = await come_back(ours)
        assert (identity.email, identity.email_verified) == ("Grace@Example.com", True)
        provider.userinfo = {**provider.person, "sub": "somebody else"}
        with pytest.raises(InvalidSignIn):
            await come_back(ours)


def changed(**claims: Any) -> Callable[[Claims], Claims]:
    return lambda given: {**given, **claims}


def without(name: str) -> Callable[[Claims], Claims]:
    return lambda given: {key: value for key, value in given.items() if key != name}


WRONG: dict[str, Callable[[Claims], Claims]] = {
    "another nonce": changed(nonce="another"),
    "no nonce": without("nonce"),
    "expired": lambda given: {**given, "iat": time.time() - 900, "exp": time.time() - 120},
    "never expires": without("exp"),
    "from the future": changed(iat=time.time() + 3600),
    "another audience": changed(aud="another client"),
    "no audience": without("aud"),
    "made for another party": changed(azp="another client"),
    "several audiences and no party": changed(aud=["muniment", "another client"]),
    "another issuer": changed(iss="https://evil.example"),
    "no subject": without("sub"),
    "a number for a subject": changed(sub=1),
    "an endless subject": changed(sub="x" * 300),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_token_with_wrong_claims_is_refused(provider: Provider, wrong: str) -> None:
    provider.change_claims = WRONG[wrong]
    async with opened(provider) as ours:
        with pytest.raises(InvalidSignIn):
            await come_back(ours)
        provider.change_claims = changed(aud=["muniment", "x"], azp="muniment")
        assert (await come_back(ours)).subject == "subject-1"


async def test_a_token_that_the_provider_did_not_sign_is_refused(provider: Provider) -> None:
    async with opened(provider) as ours:
        for algorithm in ("none", "HS256"):
            provider.algorithm = algorithm
            with pytest.raises(InvalidSignIn):
                await come_back(ours)
        provider.algorithm = "RS256"
        genuine = provider.key
        provider.published = [genuine]
        # Signed by another key that calls itself by the name of a genuine one.
        provider.key = new_key(kid=genuine.kid)
        with pytest.raises(InvalidSignIn):
            await come_back(ours)
        provider.key = genuine
        for spoil in (
            lambda token: token[:-6] + "AAAAAA",
            lambda token: token.rpartition(".")[0] + ".",
            lambda _token: "no token",
            lambda _token: "",
        ):
            provider.change_token = spoil
            with pytest.raises(InvalidSignIn):
                await come_back(ours)
        provider.change_token = lambda token: token
        assert (await come_back(ours)).subject == "subject-1"


async def test_rotated_keys_are_learnt_and_withdrawn_ones_forgotten(provider: Provider) -> None:
    async with opened(provider) as ours:
        await come_back(ours)
        withdrawn, provider.key = provider.key, new_key()
        assert (await come_back(ours)).subject == "subject-1"
        assert provider.requests["/jwks"] == 2
        provider.published, provider.key = [provider.key], withdrawn
        for _ in range(3):
            with pytest.raises(InvalidSignIn):
                await come_back(ours)
        # Nobody makes us ask for keys over and over.
        assert provider.requests["/jwks"] == 2


async def test_a_silent_provider_is_not_waited_for(provider: Provider) -> None:
    async with open_provider(settings_of(provider), patience=0.3) as ours:
        assert ours is not None
        provider.hang = True
        started = time.monotonic()
        for _ in range(20):  # after the first, people are told at once
            with pytest.raises(ProviderUnavailable):
                await ours.authorization_url(Attempt.begin(SECRET, "/"))
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("endpoint", ["/jwks", "/token"])
async def test_a_provider_that_fails_half_way_is_unavailable(
    provider: Provider, endpoint: str
) -> None:
    async with opened(provider) as ours:
        attempt = Attempt.begin(SECRET, "/")
        async with httpx.AsyncClient() as browser:
            there = await browser.get(await ours.authorization_url(attempt))
        code = parse_qs(urlsplit(there.headers["location"]).query)["code"][0]
        if endpoint == "/jwks":
            provider.metadata = {"jwks_uri": f"{provider.issuer}/nothing"}
            await ours._discovery.metadata()
            ours._discovery._metadata.until = 0.0
        else:
            provider.fail = True
        with pytest.raises(ProviderUnavailable):
            await ours.identity(attempt, code)


async def test_a_provider_that_is_down_is_left_alone_for_a_moment() -> None:
    async with running_provider() as provider:
        settings = settings_of(provider)
    async with open_provider(settings, patience=2) as ours:
        assert ours is not None
        attempt = Attempt.begin(SECRET, "/")
        with pytest.raises(ProviderUnavailable) as first:
            await ours.authorization_url(attempt)
        assert first.value.status == 503
        assert first.value.retry_after
        started = time.monotonic()
        for _ in range(100):
            with pytest.raises(ProviderUnavailable):
                await ours.authorization_url(attempt)
        assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://example.com/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
)
async def test_a_provider_that_publishes_nonsense_is_not_used(
    provider: Provider, metadata: Claims
) -> None:
    provider.metadata = metadata
    async with opened(provider) as ours:
        with pytest.raises(ProviderUnavailable):
            await ours.authorization_url(Attempt.begin(SECRET, "/"))


async def test_a_provider_that_does_not_know_us_is_our_operators_matter(
    provider: Provider,
) -> None:
    async with opened(provider, oidc_client_secret="wrong") as ours:
        with pytest.raises(ProviderUnavailable, match="administrator"):
            await come_back(ours)
