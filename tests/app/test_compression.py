"""Responses over a kilobyte travel compressed, as the client prefers."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import brotli
import httpx
import pytest
import zstandard

from muniment.compression import choose_encoding, compress

DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "br": brotli.decompress,
    "gzip": lambda data: zlib.decompress(data, wbits=zlib.MAX_WBITS | 16),
}


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br", "br"),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("zstd;q=0, br;q=0, gzip", "gzip"),
        ("*", "zstd"),
        ("*, zstd;q=0", "br"),
        ("gzip;q=0", None),
        ("gzip;q=nonsense", None),
        ("identity", None),
        ("deflate", None),
        ("", None),
    ],
)
def test_chooses_what_the_client_prefers(accepted: str, chosen: str | None) -> None:
    assert choose_encoding(accepted) == chosen


@pytest.mark.parametrize("encoding", DECODERS)
def test_small_and_large_bodies_survive(encoding: Any) -> None:
    for body in (b"x", b"a passage " * 200_000):
        assert DECODERS[encoding](compress(body, encoding)) == body


async def raw(client: httpx.AsyncClient, path: str, accepted: str) -> tuple[httpx.Response, bytes]:
    """Return a response and its body as it travelled."""
    async with client.stream("GET", path, headers={"accept-encoding": accepted}) as response:
        return response, b"".join([piece async for piece in response.aiter_raw()])


@pytest.mark.parametrize("encoding", DECODERS)
async def test_long_list_shrinks_by_more_than_60_percent(
    client: httpx.AsyncClient, encoding: str
) -> None:
    plain, whole = await raw(client, "/v1/test/long", "identity")
    assert "content-encoding" not in plain.headers
    response, body = await raw(client, "/v1/test/long", encoding)
    assert response.headers["content-encoding"] == encoding
    assert response.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    assert int(response.headers["content-length"]) == len(body) < 0.4 * len(whole)
    assert DECODERS[encoding](body) == whole


@pytest.mark.parametrize("encoding", DECODERS)
async def test_streams_are_compressed_as_they_go(client: httpx.AsyncClient, encoding: str) -> None:
    _, whole = await raw(client, "/v1/test/streamed", "identity")
    response, body = await raw(client, "/v1/test/streamed", encoding)
    assert response.headers["content-encoding"] == encoding
    assert "content-length" not in response.headers
    assert DECODERS[encoding](body) == whole


async def test_short_responses_stay_as_they_are(client: httpx.AsyncClient) -> None:
    response, body = await raw(client, "/v1/test/organization", "zstd, br, gzip")
    assert "content-encoding" not in response.headers
    assert int(response.headers["content-length"]) == len(body)


async def test_events_are_not_held_back(client: httpx.AsyncClient) -> None:
    response, body = await raw(client, "/v1/test/events", "zstd, br, gzip")
    assert "content-encoding" not in response.headers
    assert b"tick" in body
