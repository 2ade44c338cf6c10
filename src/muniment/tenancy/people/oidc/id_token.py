"""ID tokens: a provider's signed word on who somebody is (OpenID Connect Core 1.0, 3.1.3.7)."""

from __future__ import annotations

from typing import Any

import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from muniment.tenancy.people.oidc.discovery import Discovery
from muniment.tenancy.people.oidc.errors import InvalidSignIn

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
)
"""Signatures that only the provider can make: neither `none` nor one with our shared secret."""

LEEWAY_SECONDS = 60
"""How far the provider's clock and ours may be apart."""

_LONGEST_SUBJECT = 255

_log = structlog.get_logger()


async def verified_claims(
    discovery: Discovery, token: str, *, issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """Return what an ID token says, once it is sure who said so, to whom, and when.

    Args:
        discovery: of the provider; its keys are fetched anew when the token names a new one.
        token: in its compact form.
        issuer: that the provider calls itself.
        client_id: our name at the provider.
        nonce: of this attempt to sign in.

    Raises:
        InvalidSignIn: signature, issuer, audience, times or nonce are not right.
        ProviderUnavailable: the provider's keys cannot be had.
    """
    try:
        claims = await _signed_claims(discovery, token)
        jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(claims)
    except (JoseError, ValueError) as error:
        raise refused(type(error).__name__) from error
    if len(claims["sub"]) > _LONGEST_SUBJECT:
        raise refused("subject_too_long")
    audience = claims["aud"]
    party = claims.get(
        "azp", client_id if isinstance(audience, str) or len(audience) == 1 else None
    )
    if party != client_id:
        raise refused("made_for_another_party")
    return claims


def refused(reason: str) -> InvalidSignIn:
    """Return the error for a token that is not believed; the reason is for our log only."""
    _log.warning("id_token_refused", reason=reason)
    return InvalidSignIn("What the identity provider sent cannot be trusted: begin again.")


async def _signed_claims(discovery: Discovery, token: str) -> dict[str, Any]:
    try:
        return _decoded(token, await discovery.keys())
    except InvalidKeyIdError:
        newer = await discovery.newer_keys()
        if newer is None:
            raise
        return _decoded(token, newer)


def _decoded(token: str, keys: KeySet) -> dict[str, Any]:
    return jwt.decode(token, keys, algorithms=ALGORITHMS).claims
