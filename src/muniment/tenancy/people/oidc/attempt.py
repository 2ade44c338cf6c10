"""One attempt to sign in, from the way to the provider until the way back.

A cookie ties both ways to one browser. It holds a random seed, signed; what the provider is sent is
derived from the seed with the installation's secret, so nothing that the browser or the provider
can read gives away the rest.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from litestar.datastructures import Cookie

from muniment.tenancy.people.cookies import lax_cookie
from muniment.tenancy.people.oidc.errors import InvalidSignIn

LIFETIME_SECONDS = 600
"""How long somebody may take at the provider."""

_NAME = "muniment_oidc"
_HOST_ONLY = f"__Host-{_NAME}"
"""Where we are reached by https; no sibling host can plant a cookie of such a name."""
_ALGORITHM = "HS256"
_LONGEST_PATH = 500


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt to sign in is known by."""

    secret: bytes
    """Of the installation."""
    seed: str
    return_to: str
    """Path of ours to show afterwards."""

    @classmethod
    def begin(cls, secret: bytes, return_to: str) -> Attempt:
        """Begin an attempt; a place to return to that is not ours is replaced by `/`."""
        return cls(secret, secrets.token_urlsafe(32), _own_path(return_to))

    @classmethod
    def resume(
        cls, secret: bytes, cookies: Mapping[str, str], state: str, *, secure: bool
    ) -> Attempt:
        """Return the attempt that this browser began and the provider sends back.

        Args:
            secret: of the installation.
            cookies: of the request.
            state: that the provider gave back.
            secure: whether we are reached by https.

        Raises:
            InvalidSignIn: it has expired, or began in another browser, or never did.
        """
        value = cookies.get(_name(secure), "")
        try:
            token = jwt.decode(value, _key(secret), algorithms=[_ALGORITHM])
            jwt.JWTClaimsRegistry(exp={"essential": True}).validate(token.claims)
        except (JoseError, ValueError) as error:
            raise InvalidSignIn from error
        attempt = cls(secret, str(token.claims["seed"]), str(token.claims["return_to"]))
        if not hmac.compare_digest(attempt.state.encode(), state.encode("utf-8", "replace")):
            raise InvalidSignIn
        return attempt

    @property
    def state(self) -> str:
        """What the provider gives back: shows that this browser was sent there."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """What the ID token must hold: shows that it was made for this attempt."""
        return self._derived("nonce")

    @property
    def code_verifier(self) -> str:
        """What the code is exchanged with, of which the provider first saw the hash (RFC 7636)."""
        return self._derived("code verifier")

    def cookie(self, *, secure: bool) -> Cookie:
        """Return the cookie that the browser keeps meanwhile."""
        claims = {
            "seed": self.seed,
            "return_to": self.return_to,
            "exp": int(time.time()) + LIFETIME_SECONDS,
        }
        value = jwt.encode({"alg": _ALGORITHM}, claims, _key(self.secret))
        return lax_cookie(_name(secure), value, LIFETIME_SECONDS, secure=secure)

    def _derived(self, purpose: str) -> str:
        message = f"oidc {purpose}:{self.seed}".encode()
        digest = hmac.digest(self.secret, message, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def ended_attempt_cookie(*, secure: bool) -> Cookie:
    """Return the cookie that makes a browser forget its attempt."""
    return lax_cookie(_name(secure), "", 0, secure=secure)


def _name(secure: bool) -> str:
    return _HOST_ONLY if secure else _NAME


def _key(secret: bytes) -> OctKey:
    return OctKey.import_key(hmac.digest(secret, b"oidc attempt", hashlib.sha256))


def _own_path(wanted: str) -> str:
    """Return a path that browsers take for one of ours, whatever else they make of slashes."""
    plain = wanted.isascii() and wanted.isprintable() and len(wanted) <= _LONGEST_PATH
    if not plain or not wanted.startswith("/") or wanted.startswith("//") or "\\" in wanted:
        return "/"
    return wanted
