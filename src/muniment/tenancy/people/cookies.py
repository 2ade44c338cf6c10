"""The cookie that carries a session's token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from litestar.datastructures import Cookie

_NAME = "muniment_session"
_HOST_ONLY = f"__Host-{_NAME}"
"""Browsers take a cookie of this name only over https, from this very host and for all of its
paths, so that no sibling host can plant one (RFC 6265bis, 4.1.3.2)."""


def served_securely(scheme: str, public_url: str | None) -> bool:
    """Tell whether people reach us by https, though a proxy may end it in front of us.

    Args:
        scheme: of the request.
        public_url: under which people reach this installation, where it is set.
    """
    return scheme == "https" or (public_url or "").lower().startswith("https://")


def session_token(cookies: Mapping[str, str], *, secure: bool) -> str | None:
    """Return the session's token that a request carries.

    Args:
        cookies: of the request.
        secure: from `served_securely`; if so, a cookie that could have been planted is not
            looked at.
    """
    return cookies.get(_name(secure)) or None


def session_cookie(token: str, expires_at: datetime, *, secure: bool) -> Cookie:
    """Return the cookie of a session that was opened.

    It is out of reach of scripts and of posts from other sites, and kept until the session ends.
    """
    seconds = max(0, round((expires_at - datetime.now(UTC)).total_seconds()))
    return lax_cookie(_name(secure), token, seconds, secure=secure)


def ended_cookie(*, secure: bool) -> Cookie:
    """Return the cookie that makes a browser forget its session."""
    return lax_cookie(_name(secure), "", 0, secure=secure)


def lax_cookie(name: str, value: str, max_age: int, *, secure: bool) -> Cookie:
    """Return a cookie for this host, out of reach of scripts and of posts from other sites.

    Links from other sites carry it along, as an identity provider's way back must.

    Args:
        name: of the cookie.
        value: what it carries.
        max_age: seconds after which the browser forgets it.
        secure: from `served_securely`.
    """
    return Cookie(
        key=name,
        value=value,
        path="/",
        max_age=max_age,
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def _name(secure: bool) -> str:
    return _HOST_ONLY if secure else _NAME
