"""Messages over pipes: MessagePack with its length before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import msgspec

LENGTH_BYTES = 4
LARGEST_FRAME = 2**32 - 1


def _encode_path(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"No encoding for {type(value)}.")


def _decode_path(kind: type[Any], value: Any) -> Any:
    if issubclass(kind, Path):
        return kind(value)
    raise NotImplementedError(f"No decoding for {kind}.")


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_path)


def encoded(message: Any) -> bytes:
    """Return a message as MessagePack; structs, builtins and paths are understood.

    Raises:
        TypeError, NotImplementedError: something in it cannot be encoded.
    """
    return _encoder.encode(message)


def decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """Return a decoder of messages of a type."""
    return msgspec.msgpack.Decoder(kind, dec_hook=_decode_path)


def frame(message: Any) -> bytes:
    """Return a message as `encoded` does, with its length before it.

    Raises:
        ValueError: it is larger than a frame can be.
    """
    body = encoded(message)
    if len(body) > LARGEST_FRAME:
        raise ValueError(f"a message of {len(body)} bytes is too large")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def read_frame(stream: BinaryIO) -> bytes:
    """Read the body of the next frame.

    Raises:
        EOFError: the other side has closed the pipe.
    """
    prefix = stream.read(LENGTH_BYTES)
    if len(prefix) < LENGTH_BYTES:
        raise EOFError
    length = int.from_bytes(prefix, "big")
    body = stream.read(length)
    if len(body) < length:
        raise EOFError
    return body
