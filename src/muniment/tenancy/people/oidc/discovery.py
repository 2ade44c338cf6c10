"""What a provider publishes: its addresses and its keys (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from muniment.outside_services import outside_service
from muniment.tenancy.people.oidc.errors import ProviderUnavailable

T = TypeVar("T")

METADATA_SECONDS = 3600.0
KEYS_SECONDS = 600.0
"""How long a withdrawn key may still be believed."""
_PAUSE_SECONDS = 5.0
"""After a failure the provider is left alone for so long, and people are told at once."""
_EARLY_KEYS_SECONDS = 10.0
"""An unknown key makes us look for new ones before their time, but not more often than this."""
_LARGEST_DOCUMENT = 1_000_000
"""Bytes."""

_log = structlog.get_logger()


class Metadata(msgspec.Struct, frozen=True):
    """What we need to know of a provider."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _KeySetDocument(msgspec.Struct, frozen=True):
    keys: list[dict[str, object]]


@dataclass(slots=True)
class _Kept(Generic[T]):
    """A document that was fetched, for a while."""

    lasts: float
    value: T | None = None
    until: float = 0.0

    def fresh(self) -> T | None:
        return self.value if monotonic() < self.until else None

    def keep(self, value: T) -> None:
        self.value, self.until = value, monotonic() + self.lasts


class Discovery:
    """Fetches a provider's documents, one request at a time, and keeps them for a while."""

    def __init__(self, issuer: str, http: httpx2.AsyncClient) -> None:
        """Know a provider by its issuer; nothing is fetched yet."""
        self._issuer = issuer
        self._http = http
        self._fetching = asyncio.Lock()
        self._metadata: _Kept[Metadata] = _Kept(METADATA_SECONDS)
        self._keys: _Kept[KeySet] = _Kept(KEYS_SECONDS)
        self._paused_until = 0.0
        self._no_early_keys_until = 0.0

    async def metadata(self) -> Metadata:
        """Return where the provider is reached.

        Raises:
            ProviderUnavailable: it does not answer, or with something else.
        """
        if (known := self._metadata.fresh()) is not None:
            return known
        async with self._fetching:
            if (known := self._metadata.fresh()) is not None:
                return known
            address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
            found = await self._fetch(address, Metadata)
            # A provider that speaks for another one could sign its people in.
            if found.issuer.rstrip("/") != self._issuer.rstrip("/"):
                raise self.failed("issuer_differs")
            for endpoint in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
                if not is_safe(endpoint):
                    raise self.failed("endpoint_not_https")
            if found.userinfo_endpoint is not None and not is_safe(found.userinfo_endpoint):
                raise self.failed("endpoint_not_https")
            self._metadata.keep(found)
            return found

    async def keys(self) -> KeySet:
        """Return the keys that the provider signs with.

        Raises:
            ProviderUnavailable: it does not answer, or with something else.
        """
        if (known := self._keys.fresh()) is not None:
            return known
        metadata = await self.metadata()
        async with self._fetching:
            if (known := self._keys.fresh()) is not None:
                return known
            document = await self._fetch(metadata.jwks_uri, _KeySetDocument)
            keys = KeySet([key for entry in document.keys if (key := _readable(entry))])
            if not keys:
                raise self.failed("no_usable_key")
            self._keys.keep(keys)
            return keys

    async def newer_keys(self) -> KeySet | None:
        """Return the keys as they are now, or None where they were looked for a moment ago.

        Raises:
            ProviderUnavailable: see `keys`.
        """
        if monotonic() < self._no_early_keys_until:
            return None
        self._no_early_keys_until = monotonic() + _EARLY_KEYS_SECONDS
        self._keys.until = 0.0
        return await self.keys()

    async def _fetch(self, address: str, kind: type[T]) -> T:
        if monotonic() < self._paused_until:
            raise ProviderUnavailable(retry_after=_PAUSE_SECONDS)
        body = bytearray()
        try:
            with outside_service("oidc"):
                async with self._http.stream("GET", address) as response:
                    response.raise_for_status()
                    async for piece in response.aiter_bytes():
                        body += piece
                        if len(body) > _LARGEST_DOCUMENT:
                            raise self.failed("document_too_large")
            return msgspec.json.decode(body, type=kind)
        except (httpx2.HTTPError, httpx2.InvalidURL, msgspec.DecodeError) as error:
            raise self.failed(type(error).__name__) from error

    def failed(self, reason: str) -> ProviderUnavailable:
        """Leave the provider alone for a moment; returns what to raise."""
        self._paused_until = monotonic() + _PAUSE_SECONDS
        _log.warning("identity_provider_failed", issuer=self._issuer, reason=reason)
        return ProviderUnavailable(retry_after=_PAUSE_SECONDS)


def is_safe(address: str) -> bool:
    """Tell whether nobody on the way can read or change what is fetched from an address."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return False
    if not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(host))


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _readable(entry: dict[str, object]) -> Key | None:
    """Return a key for signatures, or None for one of another kind, which is no reason to fail."""
    if entry.get("use", "sig") != "sig" or entry.get("kty") == "oct":
        return None
    try:
        return JWKRegistry.import_key(entry)  # type: ignore[arg-type]  # joserfc checks it
    except (JoseError, ValueError, TypeError, KeyError):
        return None
