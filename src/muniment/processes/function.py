"""Run a function in a process of its own, with a ceiling of memory, killed when cancelled."""

from __future__ import annotations

import asyncio
import inspect
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

import msgspec
import structlog

from muniment.processes.frames import decoder, encoded
from muniment.processes.function_wire import (
    Call,
    Logged,
    Raised,
    Reported,
    Returned,
    reply_decoder,
)
from muniment.processes.guardian import Verdict
from muniment.processes.handle import ProcessDied, Subprocess
from muniment.processes.reporter import Reporter

_log = structlog.get_logger(__name__)

_PATIENCE = 0.5
"""Seconds in which the guardian, when we leave, has to end all; then we do it."""

_verdict_decoder = msgspec.msgpack.Decoder(Verdict)

OnProgress = Callable[[int, int | None, str], Awaitable[None]]

Arguments = TypeVar("Arguments")
Result = TypeVar("Result")

IsolatedFunction = Callable[[Arguments, Reporter], Result]
"""What can be run: at the top level of a module, with the types of both ends annotated."""


class FunctionEnded(Exception):
    """The process ended without an answer."""

    def __init__(self, verdict: Verdict) -> None:
        """Take the guardian's account of it."""
        self.verdict = verdict
        super().__init__(f"exit code {verdict.exit_code}")

    @property
    def how(self) -> str:
        """Tell in a few words how it ended."""
        code = self.verdict.exit_code
        if code >= 0:
            return f"it exited with code {code} and gave no answer"
        number = -code
        told = signal.strsignal(number) or "signal"
        try:
            return f"{told}, {signal.Signals(number).name}"
        except ValueError:
            return f"{told}, signal {number}"


class FunctionRaised(Exception):
    """The function has raised an exception."""

    def __init__(self, raised: Raised) -> None:
        """Take the process' account of it."""
        self.raised = raised
        super().__init__(raised.detail)

    def found_class(self) -> type[BaseException] | None:
        """Return the class of the exception if this process has imported it as well."""
        module, _, name = self.raised.classes[0].partition(":")
        found = getattr(sys.modules.get(module), name, None)
        return found if isinstance(found, type) and issubclass(found, BaseException) else None


@dataclass(frozen=True, slots=True)
class _Signature:
    module: str
    name: str
    returns: Any


async def run_function(
    function: IsolatedFunction[Arguments, Result],
    arguments: Arguments,
    *,
    memory_bytes: int,
    on_progress: OnProgress,
) -> Result:
    """Run `function(arguments, report)` in a fresh process and return what it returns.

    Arguments and result travel as MessagePack, by the types that the function is annotated with
    (msgspec structs, builtins, paths). What it logs is logged here. When this coroutine ends, in
    whatever way, the process and all it has started are gone; cancelled, it takes less than a
    second.

    Raises:
        FunctionRaised: the function has raised an exception.
        FunctionEnded: the process ended without an answer: it crashed, or it was killed.
        OSError: no process can be started.
        TypeError: the function is not at the top level of a module, or not annotated.
    """
    signature = _signature(function)
    call = Call(signature.module, signature.name, msgspec.Raw(encoded(arguments)), sys.path)
    process = await Subprocess.start(
        "muniment.processes.function_process",
        str(memory_bytes),
        role="job",
        verdict=True,
        patience=_PATIENCE,
    )
    try:
        async with process.at_work():
            process.send(call)
            answer = await _answer(process, on_progress)
        await process.kill()
    except ProcessDied as died:
        raise FunctionEnded(await _verdict(process, died)) from None
    if isinstance(answer, Raised):
        raise FunctionRaised(answer)
    result: Result = decoder(signature.returns).decode(answer.value)
    return result


async def _answer(process: Subprocess, on_progress: OnProgress) -> Returned | Raised:
    while True:
        try:
            reply = reply_decoder.decode(await process.receive())
        except msgspec.DecodeError as error:
            raise ConnectionError("the process answered nonsense") from error
        if isinstance(reply, Reported):
            await on_progress(reply.done, reply.total, reply.unit)
        elif isinstance(reply, Logged):
            fields = {name: value for name, value in reply.fields.items() if name != "event"}
            getattr(_log, reply.level)(reply.event, **fields)
        else:
            return reply


async def _verdict(process: Subprocess, died: ProcessDied) -> Verdict:
    told = await process.verdict()
    try:
        return _verdict_decoder.decode(told)
    except msgspec.DecodeError:
        # The guardian itself was killed, or could not start and says why.
        return Verdict(died.exit_code or 0, over_ceiling=False, peak_bytes=0, output=told)


def _signature(function: Any) -> _Signature:
    module, name = function.__module__, function.__qualname__
    if module == "__main__" or "<" in name or asyncio.iscoroutinefunction(function):
        raise TypeError(f"{function!r} must be a plain function at the top level of a module")
    hints = get_type_hints(function)
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 2 or parameters[0] not in hints or "return" not in hints:
        raise TypeError(f"{function!r} must take arguments and a reporter, with types annotated")
    return _Signature(module, name, hints["return"])
