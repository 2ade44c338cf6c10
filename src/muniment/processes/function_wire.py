"""What is said to a process that runs one function, and what it answers."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from muniment.processes.frames import decoder

Level = Literal["debug", "info", "warning", "error"]


class Call(msgspec.Struct, frozen=True):
    """The only frame to the process: the function to run, and where Python finds it."""

    module: str
    name: str
    arguments: msgspec.Raw
    path: list[str]


class Reported(msgspec.Struct, frozen=True, tag="reported"):
    """How far the function has come."""

    done: int
    total: int | None
    unit: str


class Logged(msgspec.Struct, frozen=True, tag="logged"):
    """A log line of the function."""

    level: Level
    event: str
    fields: dict[str, Any]


class Returned(msgspec.Struct, frozen=True, tag="returned"):
    """The function has returned; the last frame."""

    value: msgspec.Raw


class Raised(msgspec.Struct, frozen=True, tag="raised"):
    """The function has raised an exception; the last frame."""

    classes: list[str]
    """The exception's class and its bases, as `module:name`, the most specific first."""
    detail: str
    code: str | None
    """Of a `MunimentError`."""
    errors: list[dict[str, Any]]
    """Of a `MunimentError`."""
    stack: str
    """Where it was raised, without the exception's text."""


Reply = Reported | Logged | Returned | Raised

call_decoder = decoder(Call)
reply_decoder: msgspec.msgpack.Decoder[Reply] = decoder(Reply)
