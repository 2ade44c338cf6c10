"""Responses over a kilobyte travel compressed: zstd, brotli or gzip, as the client prefers."""

from __future__ import annotations

import asyncio
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

if TYPE_CHECKING:
    from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

Encoding = Literal["zstd", "br", "gzip"]

LEAST_BYTES = 1024
"""Smaller bodies fit one packet either way."""
_IN_A_THREAD = 256 * 1024
"""Bodies from this size take more than a millisecond, too long for the event loop."""
_PREFERENCE: tuple[Encoding, ...] = ("zstd", "br", "gzip")
"""At equal weight the one that costs the server least comes first."""
_COMPRESSIBLE = (
    b"application/json",
    b"application/problem+json",
    b"application/vnd.oai.openapi+json",
    b"application/openmetrics-text",
    b"application/xml",
    b"application/javascript",
    b"image/svg+xml",
    b"text/",
)


class _Encoder(Protocol):
    def compress(self, data: bytes) -> bytes: ...
    def flush(self) -> bytes:
        """Return everything that is held back, so that the client can read on."""
        ...

    def finish(self) -> bytes: ...


class _Zstd:
    def __init__(self) -> None:
        self._encoder = zstandard.ZstdCompressor(level=3).compressobj()

    def compress(self, data: bytes) -> bytes:
        return self._encoder.compress(data)

    def flush(self) -> bytes:
        return self._encoder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._encoder.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)


class _Brotli:
    def __init__(self) -> None:
        self._encoder = brotli.Compressor(mode=brotli.MODE_TEXT, quality=4)

    def compress(self, data: bytes) -> bytes:
        return bytes(self._encoder.process(data))

    def flush(self) -> bytes:
        return bytes(self._encoder.flush())

    def finish(self) -> bytes:
        return bytes(self._encoder.finish())


class _Gzip:
    def __init__(self) -> None:
        self._encoder = zlib.compressobj(level=5, wbits=zlib.MAX_WBITS | 16)

    def compress(self, data: bytes) -> bytes:
        return self._encoder.compress(data)

    def flush(self) -> bytes:
        return self._encoder.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._encoder.flush(zlib.Z_FINISH)


@lru_cache(maxsize=256)
def choose_encoding(accept_encoding: str) -> Encoding | None:
    """Return the best encoding that an ``Accept-Encoding`` header allows (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, _, parameter = part.partition(";")
        weights[name.strip()] = _weight(parameter)
    for other in _PREFERENCE:
        weights.setdefault(other, weights.get("*", 0.0))
    best = max(_PREFERENCE, key=lambda name: weights[name])
    return best if weights[best] > 0 else None


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def compress(data: bytes, encoding: Encoding) -> bytes:
    """Return a whole body compressed."""
    encoder = _encoder(encoding)
    return encoder.compress(data) + encoder.finish()


def _encoder(encoding: Encoding) -> _Encoder:
    encoders: dict[Encoding, type[_Encoder]] = {"zstd": _Zstd, "br": _Brotli, "gzip": _Gzip}
    return encoders[encoding]()


class Compression:
    """ASGI middleware that compresses responses of text that are worth it.

    A streamed body is compressed piece by piece, and each piece can be read on arrival.
    Server-sent events stay as they are: their pieces are too small to gain anything.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        accepted = b",".join(
            value for name, value in scope["headers"] if name == b"accept-encoding"
        )
        encoding = choose_encoding(accepted.decode("latin-1"))
        await self._app(scope, receive, _Responder(send, encoding))


class _Responder:
    """The `send` of one response. The start is held back until the first piece of the body."""

    def __init__(self, send: Send, encoding: Encoding | None) -> None:
        self._send = send
        self._encoding = encoding
        self._start: HTTPResponseStartEvent | None = None
        self._encoder: _Encoder | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_compressible(message):
            self._start = message
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body, more = message["body"], message.get("more_body", False)
        if self._start is not None:
            start, self._start = self._start, None
            body = await self._begin(start, body, more=more)
        elif self._encoder is not None:
            body = self._encoder.compress(body)
            body += self._encoder.flush() if more else self._encoder.finish()
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _begin(self, start: HTTPResponseStartEvent, body: bytes, *, more: bool) -> bytes:
        headers = [*start["headers"], (b"vary", b"accept-encoding")]
        if self._encoding is not None and (more or len(body) >= LEAST_BYTES):
            headers = [header for header in headers if header[0] != b"content-length"]
            headers.append((b"content-encoding", self._encoding.encode()))
            if more:
                self._encoder = _encoder(self._encoding)
                body = self._encoder.compress(body) + self._encoder.flush()
            elif len(body) >= _IN_A_THREAD:
                body = await asyncio.to_thread(compress, body, self._encoding)
            else:
                body = compress(body, self._encoding)
            if not more:
                headers.append((b"content-length", str(len(body)).encode()))
        start["headers"] = headers
        await self._send(start)
        return body


def _is_compressible(start: HTTPResponseStartEvent) -> bool:
    headers = dict(start["headers"])
    media_type = headers.get(b"content-type", b"")
    return (
        media_type.startswith(_COMPRESSIBLE)
        and not media_type.startswith(b"text/event-stream")
        and b"content-encoding" not in headers
    )
