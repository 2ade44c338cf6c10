"""Secrets that are shown once and kept as a hash: keys, session tokens, links."""

from __future__ import annotations

import hashlib
import secrets


def new_secret(prefix: str = "") -> str:
    """Return a fresh secret of 256 random bits, in characters that a URL may hold."""
    return f"{prefix}{secrets.token_urlsafe(32)}"


def hash_of(secret: str) -> bytes:
    """Return what is stored of a secret.

    It carries 256 random bits, so a plain hash cannot be guessed back and needs no salt.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
