"""What the converter and its processes say to each other: frames of MessagePack over pipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from muniment.documents.conversion import Conversion, ConversionItem
from muniment.documents.extract import Limits

LENGTH_BYTES = 4


class Setup(msgspec.Struct, frozen=True):
    """First frame to a process: everything it must know for all files.

    `deadline` is in seconds for one file, or for a part of one that is read in parts. Texts longer
    than `inline_characters` are not sent but written to a new folder in `spool`.
    """

    tokenizer: Path
    token_budget: int
    deadline: float
    spool: Path
    limits: Limits
    inline_characters: int = 128 * 1024


class Batch(msgspec.Struct, frozen=True):
    """Files to convert, in this order."""

    items: list[ConversionItem]


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The process is set up."""


class Working(msgspec.Struct, frozen=True, tag="working"):
    """A part of the next file is done; its deadline begins anew."""


class Converted(msgspec.Struct, frozen=True, tag="converted"):
    """The next file of the batch is converted."""

    conversion: Conversion


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The next file of the batch cannot be converted."""

    code: str
    detail: str


Reply = Ready | Working | Converted | Failed


def _encode_path(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"No encoding for {type(value)}.")


def _decode_path(kind: type[Any], value: Any) -> Any:
    return kind(value)


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_path)
setup_decoder = msgspec.msgpack.Decoder(Setup, dec_hook=_decode_path)
batch_decoder = msgspec.msgpack.Decoder(Batch, dec_hook=_decode_path)
reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def frame(message: Setup | Batch | Reply) -> bytes:
    """Return a message with its length before it."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body
