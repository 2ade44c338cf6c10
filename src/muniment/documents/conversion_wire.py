"""What the converter and its processes say to each other: frames of MessagePack over pipes."""

from __future__ import annotations

from pathlib import Path

import msgspec

from muniment.documents.conversion import Conversion, ConversionItem
from muniment.documents.extract import Limits
from muniment.processes.frames import decoder


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

setup_decoder: msgspec.msgpack.Decoder[Setup] = decoder(Setup)
batch_decoder: msgspec.msgpack.Decoder[Batch] = decoder(Batch)
reply_decoder: msgspec.msgpack.Decoder[Reply] = decoder(Reply)
