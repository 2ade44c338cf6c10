"""Cursors of listings: opaque to clients, and signed so that only ours are accepted."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any, TypeVar

import msgspec

from muniment.errors import InvalidRequest

_SIGNATURE_BYTES = 16
_LONGEST = 1024

Position = TypeVar("Position")


class InvalidCursor(InvalidRequest):
    """The cursor is not one that this listing gave out."""

    code = "invalid_cursor"
    title = "Invalid cursor"


def encode_cursor(secret: bytes, listing: str, position: Any) -> str:
    """Return a cursor that leads to the rows of a listing after `position`.

    Args:
        secret: of the installation.
        listing: name of the listing; a cursor of one is not valid in another.
        position: keyset values of the last row shown, anything that msgspec can encode.
    """
    body = msgspec.json.encode(position)
    packed = _signature(secret, listing, body) + body
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode_cursor(secret: bytes, listing: str, cursor: str, kind: type[Position]) -> Position:
    """Return the position that `encode_cursor` was given, as an object of type `kind`.

    Raises:
        InvalidCursor: it was made up, altered, or belongs to another listing.
    """
    if len(cursor) > _LONGEST:
        raise InvalidCursor
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor from error
    signature, body = packed[:_SIGNATURE_BYTES], packed[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(secret, listing, body)):
        raise InvalidCursor
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        # Signed by us, but by a version whose listing was sorted by something else.
        raise InvalidCursor from error


def _signature(secret: bytes, listing: str, body: bytes) -> bytes:
    # The listing is hashed so that no pair of name and body reads like another pair.
    message = hashlib.sha256(b"cursor:" + listing.encode()).digest() + body
    return hmac.digest(secret, message, hashlib.sha256)[:_SIGNATURE_BYTES]
