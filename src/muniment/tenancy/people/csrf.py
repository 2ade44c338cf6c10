"""Defences against requests that another site makes a browser send.

Two that complement each other: a token that only our own pages can read, for requests
that a session's cookie authenticates, and a look at where the browser says that the request
comes from, for all of them. The second follows the OWASP CSRF cheat sheet ("Fetch Metadata"
and "Verifying Origin"): a browser sets ``Sec-Fetch-Site`` and ``Origin`` itself, so no page can
forge them, and whoever sends neither is no browser and carries nobody's cookies.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from muniment.tenancy.people.errors import CrossSiteRequest, WrongCsrfToken

CSRF_HEADER = "x-csrf-token"
"""Where a request carries its token."""

_SAME_SITE = frozenset({"same-origin", "none"})
"""`none` is an address that a person typed. A sibling host (`same-site`) is not trusted."""


def csrf_token(secret: bytes, token_hash: bytes) -> str:
    """Return the CSRF token of a session: HMAC-SHA256 in hexadecimal, 64 characters.

    Args:
        secret: of the installation.
        token_hash: SHA-256 of the session's token.
    """
    return hmac.new(secret, b"csrf" + token_hash, hashlib.sha256).hexdigest()


def require_csrf(
    secret: bytes, token_hash: bytes, headers: Mapping[str, str], *, public_url: str | None
) -> None:
    """Refuse a request that a cookie authenticates unless one of our pages sent it.

    Args:
        secret: of the installation.
        token_hash: SHA-256 of the session's token.
        headers: of the request, with names in lower case.
        public_url: under which people reach this installation, where it is set.

    Raises:
        CrossSiteRequest: another site made the browser send it.
        WrongCsrfToken: its token is missing or belongs to another session.
    """
    require_same_site(headers, public_url=public_url)
    sent = headers.get(CSRF_HEADER, "").encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(sent, csrf_token(secret, token_hash).encode()):
        raise WrongCsrfToken


def require_same_site(headers: Mapping[str, str], *, public_url: str | None) -> None:
    """Refuse a request that another site made a browser send; see `require_csrf`.

    Raises:
        CrossSiteRequest: it is one.
    """
    origin = headers.get("origin")
    if origin is not None and public_url is not None and _same_origin(origin, public_url):
        return
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site not in _SAME_SITE:
            raise CrossSiteRequest
        return
    # Older browsers tell an origin only. Its scheme cannot be compared, because a proxy may
    # end TLS in front of us; the host can.
    if origin is not None and _origin_of(origin)[1] != headers.get("host", "").lower():
        raise CrossSiteRequest


def _same_origin(origin: str, public_url: str) -> bool:
    ours = _origin_of(public_url)
    return ours[1] != "" and _origin_of(origin) == ours


def _origin_of(url: str) -> tuple[str, str]:
    """Return scheme and host with port, in lower case; of what is no address, nothing."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.scheme.lower(), parts.netloc.lower()
