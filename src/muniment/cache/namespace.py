"""What kinds of values are cached, for how long, and how they look on the way to Redis."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from inspect import isclass
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LONGEST = timedelta(hours=24)


@dataclass(frozen=True, eq=False)
class Namespace(Generic[T]):
    """One kind of cached value, declared once where a module begins.

    Everyone who asks gets the same object, so values are not to be changed: structs must be
    frozen, and lists and dictionaries are to be left as they are.

    Raises:
        ValueError: the name is no label for metrics, or the time to live is out of bounds.
        TypeError: the values are structs that could be changed.
    """

    name: str
    """Label of its metrics: lower case, digits and underscores."""
    value_type: type[T]
    """A frozen `msgspec.Struct`, or built-in types of which msgspec knows how to write them."""
    ttl: timedelta = timedelta(minutes=5)
    """How long a value is kept at most; a bound for what was changed past the application."""
    cache_missing: bool = field(default=False, kw_only=True)
    """Remember too that there is nothing under a key."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not the name of a namespace")
        if not timedelta(0) < self.ttl <= _LONGEST:
            raise ValueError(f"the time to live of {self.name} must be at most {_LONGEST}")
        kind: Any = self.value_type
        is_struct = isclass(kind) and issubclass(kind, msgspec.Struct)
        if is_struct and not kind.__struct_config__.frozen:
            raise TypeError(f"the values of {self.name} must be a frozen struct")

    @cached_property
    def seconds(self) -> float:
        """The time to live in seconds."""
        return self.ttl.total_seconds()

    @cached_property
    def shape(self) -> str:
        """Short fingerprint of the values' type: versions that differ share nothing."""
        schema = msgspec.json.encode(msgspec.json.schema(self.value_type))
        return hashlib.sha256(schema).hexdigest()[:8]

    def encode(self, value: T | None) -> bytes:
        """Return a value as msgpack; its length is what the byte bound counts."""
        return self._encoder.encode(value)

    def decode(self, data: bytes | msgspec.Raw) -> T | None:
        """Read what `encode` wrote.

        Raises:
            msgspec.MsgspecError: it is something else.
        """
        return self._decoder.decode(data)

    @cached_property
    def _encoder(self) -> msgspec.msgpack.Encoder:
        return msgspec.msgpack.Encoder()

    @cached_property
    def _decoder(self) -> msgspec.msgpack.Decoder[T | None]:
        return msgspec.msgpack.Decoder(self.value_type | None)
