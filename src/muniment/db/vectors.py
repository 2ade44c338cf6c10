"""pgvector's types on the wire: numpy arrays in and out of `halfvec` and `vector`.

asyncpg falls back to text for types it does not know, which costs a decimal number per component
and rules out binary COPY. These codecs speak pgvector's binary form instead (`halfvec_recv` and
`vector_recv` in pgvector's sources): a 16-bit count of components, 16 unused bits, then the
components, everything big-endian. 384 components take 772 bytes as a halfvec.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import asyncpg
import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float16] | npt.NDArray[np.float32] | npt.NDArray[np.float64]
VectorLike = Vector | Sequence[float] | str | bytes
"""What may be passed for a vector: an array, a list of numbers, pgvector's text `[1,2,3]`, or the
binary form of the type."""

_HEADER = struct.Struct(">HH")
_WIRE_TYPES: dict[str, np.dtype[Any]] = {"halfvec": np.dtype(">f2"), "vector": np.dtype(">f4")}


async def register_vector_codecs(connection: asyncpg.Connection[Any]) -> None:
    """Teach one connection to pass `halfvec` and `vector` values, also in COPY and in arrays.

    Values may be numpy arrays of shape (dimensions,), sequences of numbers or pgvector's text;
    they come back as float32 arrays of shape (dimensions,). In a `halfvec[]` put
    `encode_halfvec(value)`: asyncpg takes an array in an array for another dimension.

    The extension is expected in the schema `public`, where the migrations create it; on a
    database without it (not migrated yet) nothing is registered.

    Made to be the `init` of an asyncpg pool.
    """
    for name in _WIRE_TYPES:
        try:
            await connection.set_type_codec(
                name,
                schema="public",
                encoder=encode_halfvec if name == "halfvec" else encode_vector,
                decoder=decode_halfvec if name == "halfvec" else decode_vector,
                format="binary",
            )
        except ValueError:
            # asyncpg's answer to a type that does not exist. `db status` and `db upgrade`
            # connect before the extension has been created.
            return


def encode_halfvec(value: VectorLike) -> bytes:
    """The binary form of a `halfvec`: 4 + 2 bytes for each component, rounded to float16.

    Raises:
        ValueError: the value has no component or is not one-dimensional.
    """
    return _encode(value, _WIRE_TYPES["halfvec"])


def encode_vector(value: VectorLike) -> bytes:
    """The binary form of a `vector`: 4 + 4 bytes for each component, rounded to float32.

    Raises:
        ValueError: the value has no component or is not one-dimensional.
    """
    return _encode(value, _WIRE_TYPES["vector"])


def decode_halfvec(data: bytes) -> npt.NDArray[np.float32]:
    """A `halfvec` in its binary form as a float32 array of shape (dimensions,)."""
    return _decode(data, _WIRE_TYPES["halfvec"])


def decode_vector(data: bytes) -> npt.NDArray[np.float32]:
    """A `vector` in its binary form as a float32 array of shape (dimensions,)."""
    return _decode(data, _WIRE_TYPES["vector"])


def vector_text(value: Vector | Sequence[float]) -> str:
    """The text `[1,2,3]` that pgvector reads, for statements sent without the codecs."""
    return "[" + ",".join(map(str, np.asarray(value, dtype=np.float32).tolist())) + "]"


def _encode(value: VectorLike, wire_type: np.dtype[Any]) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        value = [float(component) for component in value.strip(" []").split(",")]
    components = np.asarray(value).astype(wire_type)
    if components.ndim != 1 or components.size == 0:
        raise ValueError(f"a vector has one dimension of at least 1, not {components.shape}")
    return _HEADER.pack(components.size, 0) + components.tobytes()


def _decode(data: bytes, wire_type: np.dtype[Any]) -> npt.NDArray[np.float32]:
    return np.frombuffer(data, dtype=wire_type, offset=_HEADER.size).astype(np.float32)
