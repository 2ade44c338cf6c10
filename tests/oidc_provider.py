"""A small OpenID provider that really listens: the authorization code flow with PKCE.

It checks what a provider must check (client, redirect address, code used once, code verifier), and
can be told to do wrong what a hostile or broken one might.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import secrets
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, RSAKey
from litestar import Litestar, Request, Response, get, post
from litestar.response import Redirect

CLIENT_ID = "muniment"
CLIENT_SECRET = "a secret: shared & odd"

AnyRequest = Request[Any, Any, Any]
Claims = dict[str, Any]


def new_key(kind: str = "RSA", *, kid: str | None = None) -> Key:
    """Return a fresh key with an id, its own or another one's."""
    named = None if kid is None else {"kid": kid}
    key: Key = (
        RSAKey.generate_key(2048, named) if kind == "RSA" else ECKey.generate_key("P-256", named)
    )
    key.ensure_kid()
    return key


@dataclass
class Provider:
    """What the provider knows, and how it behaves; change it while it runs."""

    port: int
    person: Claims = field(
        default_factory=lambda: {
            "sub": "subject-1",
            "email": "Grace@Example.com",
            "email_verified": True,
            "name": "Grace Hopper",
        }
    )
    key: Key = field(default_factory=new_key)
    """Signs ID tokens."""
    published: list[Key] | None = None
    """What `jwks_uri` shows; the signing key if None."""
    algorithm: str = "RS256"
    deny: str | None = None
    """Sends people back with this error."""
    change_claims: Callable[[Claims], Claims] = lambda claims: claims
    change_token: Callable[[str], str] = lambda token: token
    only_in_userinfo: tuple[str, ...] = ()
    userinfo: Claims | None = None
    auth_methods: tuple[str, ...] = ("client_secret_basic",)
    metadata: Claims = field(default_factory=dict)
    """Changes to what it publishes of itself."""
    hang: bool = False
    """Takes requests and does not answer them."""
    fail: bool = False
    """Answers with status 500."""
    requests: Counter[str] = field(default_factory=Counter)
    _codes: dict[str, Claims] = field(default_factory=dict)
    _tokens: dict[str, Claims] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """What it calls itself."""
        return f"http://127.0.0.1:{self.port}"

    async def obstruct(self) -> None:
        """Misbehave as told."""
        if self.hang:
            await asyncio.Event().wait()
        if self.fail:
            raise RuntimeError("the provider was told to fail")

    def grant(self, query: Claims) -> str:
        """Return a code for an authorization request."""
        code = secrets.token_urlsafe(16)
        self._codes[code] = {**query, "person": dict(self.person)}
        return code

    def redeem(self, form: Claims) -> Claims | None:
        """Return what a code stands for, once, to whoever can show the verifier."""
        granted = self._codes.pop(form.get("code", ""), None)
        if granted is None or granted["redirect_uri"] != form.get("redirect_uri"):
            return None
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return granted if granted["code_challenge"] == challenge else None

    def tokens(self, granted: Claims) -> Claims:
        """Return the tokens for a code."""
        access_token = secrets.token_urlsafe(16)
        person = granted["person"]
        self._tokens[access_token] = person
        now = int(time.time())
        told = {name: value for name, value in person.items() if name not in self.only_in_userinfo}
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": granted.get("nonce"),
            **told,
        }
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self.change_token(self.signed(self.change_claims(claims))),
        }

    def signed(self, claims: Claims) -> str:
        """Return an ID token, with whatever algorithm was asked for."""
        header = {"alg": self.algorithm, "kid": self.key.kid}
        if self.algorithm == "none":
            return unsigned(claims)
        key = OctKey.import_key(CLIENT_SECRET) if self.algorithm == "HS256" else self.key
        return jwt.encode(header, claims, key, algorithms=[self.algorithm])

    def told_of(self, access_token: str) -> Claims | None:
        """Return what `userinfo` says to the bearer of a token."""
        person = self._tokens.get(access_token)
        return person if person is None or self.userinfo is None else self.userinfo

    def is_client(self, header: str, form: Claims) -> bool:
        """Tell whether a request at the token endpoint comes from our client."""
        if "client_secret_basic" in self.auth_methods:
            user, _, password = (
                base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
            )
            given = (unquote_plus(user), unquote_plus(password))
        else:
            given = (form.get("client_id", ""), form.get("client_secret", ""))
        return given == (CLIENT_ID, CLIENT_SECRET)


def unsigned(claims: Claims) -> str:
    """Return a token that says that it needs no signature (RFC 7519, 6)."""
    import json

    def part(value: Claims) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def application(provider: Provider) -> Litestar:
    """Return the provider's web application."""

    async def seen(request: AnyRequest) -> None:
        provider.requests[request.url.path] += 1
        await provider.obstruct()

    @get("/.well-known/openid-configuration")
    async def metadata() -> Claims:
        issuer = provider.issuer
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize?tenant=tests",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "token_endpoint_auth_methods_supported": provider.auth_methods,
            "response_types_supported": ["code"],
            **provider.metadata,
        }

    @get("/jwks")
    async def jwks() -> Claims:
        keys = [provider.key] if provider.published is None else provider.published
        shown: list[Claims] = [dict(key.as_dict(private=False)) for key in keys]
        # Others are there as well, which a client must leave alone.
        return {"keys": [{"kty": "unheard of", "kid": "x"}, *shown]}

    @get("/authorize")
    async def authorize(request: AnyRequest) -> Response[Any]:
        query = dict(request.query_params)
        right = query.get("client_id") == CLIENT_ID and query.get("tenant") == "tests"
        if not right or query.get("code_challenge_method") != "S256":
            return Response("no", status_code=400)
        answer = {"state": query["state"], "iss": provider.issuer}
        answer |= {"error": provider.deny} if provider.deny else {"code": provider.grant(query)}
        return Redirect(f"{query['redirect_uri']}?{urlencode(answer)}", status_code=302)

    @post("/token", status_code=200)
    async def token(request: AnyRequest) -> Response[Any]:
        form = dict(await request.form())
        if not provider.is_client(request.headers.get("authorization", ""), form):
            return Response({"error": "invalid_client"}, status_code=401)
        granted = provider.redeem(form)
        if granted is None:
            return Response({"error": "invalid_grant"}, status_code=400)
        return Response(provider.tokens(granted))

    @get("/userinfo")
    async def userinfo(request: AnyRequest) -> Response[Any]:
        told = provider.told_of(request.headers.get("authorization", "").removeprefix("Bearer "))
        return Response(told, status_code=401 if told is None else 200)

    return Litestar(
        [metadata, jwks, authorize, token, userinfo],
        before_request=seen,
        openapi_config=None,
        logging_config=None,
    )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the test run."""
        yield


@contextlib.asynccontextmanager
async def running_provider() -> AsyncIterator[Provider]:
    """Run a provider on a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        provider = Provider(listening.getsockname()[1])
        config = uvicorn.Config(
            application(provider), lifespan="off", log_config=None, timeout_graceful_shutdown=1
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield provider
        finally:
            server.should_exit = True
            await serving
